package clib

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// Open loads the shared library at a path, with the libraries beside it that it needs, or one that the
// system finds by name.
func Open(path string) (library uintptr, err error) {
	flags := uintptr(0)
	if filepath.IsAbs(path) {
		flags = windows.LOAD_WITH_ALTERED_SEARCH_PATH
	}
	handle, err := windows.LoadLibraryEx(path, 0, flags)
	return uintptr(handle), err
}

// Symbol returns the address of a function or variable, or 0 if the library has none of that name.
func Symbol(library uintptr, name string) uintptr {
	address, err := windows.GetProcAddress(windows.Handle(library), name)
	if err != nil {
		return 0
	}
	return address
}

// Close releases a library.
func Close(library uintptr) { _ = windows.FreeLibrary(windows.Handle(library)) }
