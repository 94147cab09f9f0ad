//go:build unix

package clib

import (
	"github.com/ebitengine/purego"

	"github.com/forgo-ml/forgo/internal/cmemory"
)

// Open loads the shared library at a path, or one that the system finds by name.
func Open(path string) (library uintptr, err error) {
	cmemory.Mapping.RLock()
	defer cmemory.Mapping.RUnlock()
	library, err = purego.Dlopen(path, purego.RTLD_LAZY|purego.RTLD_LOCAL)
	if err == nil {
		offerTrim()
	}
	return library, err
}

// Symbol returns the address of a function or variable, or 0 if the library has none of that name.
func Symbol(library uintptr, name string) uintptr {
	address, err := purego.Dlsym(library, name)
	if err != nil {
		return 0
	}
	return address
}

// Close releases a library.
func Close(library uintptr) { _ = purego.Dlclose(library) }
