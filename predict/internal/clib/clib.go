// Package clib opens shared libraries and calls their C functions without cgo, and so without a C
// compiler. It uses github.com/ebitengine/purego.
//
// cgo's rules for memory apply, but nothing checks them. Memory that a C function gets by address must not
// move while C holds on to it; a [runtime.Pinner] ensures that beyond the call. What C returns stays a
// uintptr until it is read, so that Go's collector does not take it for a Go pointer.
package clib

import (
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/forgo-ml/forgo/internal/printable"
)

// Pointer returns a pointer to C's memory at an address.
func Pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// At reads a value in C's memory, at an offset in bytes.
func At[T any](address uintptr, offset int) T { return *(*T)(unsafe.Add(Pointer(address), offset)) }

// Bytes returns C's memory without copying. It must not be used after C has freed it.
func Bytes(address uintptr, size int) []byte {
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(Pointer(address)), size)
}

// String returns a copy of s that ends in a zero byte, as C strings do. s must not contain one.
func String(s string) []byte { return append([]byte(s), 0) }

// Call calls a C function. Pointers to Go's memory must be converted to uintptr in the argument list
// itself, which keeps what they point to alive until Call returns.
//
//go:uintptrescapes
func Call(function uintptr, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(function, args...)
	return result
}

// maxText bounds a text that a library returns, in bytes.
const maxText = 4 << 10

func text(address uintptr) string {
	if address == 0 {
		return ""
	}
	at, n := Pointer(address), 0
	for n < maxText && *(*byte)(unsafe.Add(at, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(at), n))
}

// Text copies at most 4 KiB of a C string, as one printable line.
func Text(address uintptr) string { return printable.Text(strings.TrimSpace(text(address))) }

// Line is [Text] up to the first line break.
func Line(address uintptr) string {
	line, _, _ := strings.Cut(text(address), "\n")
	return printable.Text(strings.TrimSpace(line))
}
