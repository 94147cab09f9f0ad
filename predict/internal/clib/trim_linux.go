package clib

import (
	"sync"

	"github.com/ebitengine/purego"

	"github.com/forgo-ml/forgo/internal/cmemory"
)

// offerTrim offers glibc's malloc_trim. Other C libraries have none.
var offerTrim = sync.OnceFunc(func() {
	if trim := Symbol(purego.RTLD_DEFAULT, "malloc_trim"); trim != 0 {
		cmemory.SetTrim(func() { Call(trim, 0) })
	}
})
