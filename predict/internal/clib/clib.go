// Package clib opens shared libraries and calls the C functions in them, without cgo and so without a C
// compiler: with github.com/ebitengine/purego.
//
// Memory rules are cgo's, which nothing checks here. What a C function is given by address must stay where
// it is for as long as C holds on to it: a [runtime.Pinner] sees to that beyond the call. What C returns
// stays a uintptr until it is read: Go's collector must not take it for an address of its own.
package clib

import (
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/forgo-ml/forgo/internal/printable"
)

// Pointer is the memory of C at an address.
func Pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// At reads what lies in C's memory, at an offset in bytes.
func At[T any](address uintptr, offset int) T { return *(*T)(unsafe.Add(Pointer(address), offset)) }

// Bytes is C's memory itself: it must not be used once C has freed it.
func Bytes(address uintptr, size int) []byte {
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(Pointer(address)), size)
}

// String returns a copy of s as C has strings. It must not hold a zero byte.
func String(s string) []byte { return append([]byte(s), 0) }

// Call calls a C function. Pointers to Go's memory among the arguments must be converted in the call
// itself, which keeps what they point to until it returns.
//
//go:uintptrescapes
func Call(function uintptr, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(function, args...)
	return result
}

// maxText is how much is read of a text that a library hands over.
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

// Text copies a string of C: 4 KiB of it at most, on one line and printable.
func Text(address uintptr) string { return printable.Text(strings.TrimSpace(text(address))) }

// Line is [Text] up to the first line break.
func Line(address uintptr) string {
	line, _, _ := strings.Cut(text(address), "\n")
	return printable.Text(strings.TrimSpace(line))
}
