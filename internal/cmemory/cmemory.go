// Package cmemory returns memory that C libraries have freed to the system. The C library would keep it:
// glibc keeps up to 64 MB in each of its arenas.
package cmemory

import (
	"sync"
	"sync/atomic"
)

var trim atomic.Pointer[func()]

// SetTrim sets the function that returns memory. Code that opens a C library calls it.
func SetTrim(f func()) { trim.Store(&f) }

// Return returns free memory to the system. It takes milliseconds, so call it at the end of a burst. It is
// safe for concurrent use.
func Return() {
	if f := trim.Load(); f != nil {
		(*f)()
	}
}

// Mapping is held for reading while a library is opened, and for writing while unused pages of mapped files
// are dropped: the loader first maps a whole file and then writes to parts of it.
var Mapping sync.RWMutex
