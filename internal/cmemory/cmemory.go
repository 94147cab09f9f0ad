// Package cmemory gives memory that C libraries have freed back to the system. The C library keeps it otherwise:
// glibc up to 64 MB in each of its arenas.
package cmemory

import "sync/atomic"

var trim atomic.Pointer[func()]

// SetTrim says how to give it back. Whoever opens a C library does; a program without one needs nothing.
func SetTrim(f func()) { trim.Store(&f) }

// Return gives it back. It takes milliseconds, so it is for the end of a burst. Safe for concurrent use.
func Return() {
	if f := trim.Load(); f != nil {
		(*f)()
	}
}
