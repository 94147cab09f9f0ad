// Package ort calls the functions of ONNX Runtime's C API that the engine uses, without cgo.
//
// Open a [Library] once. Everything made with it ([Session], [Value], [Binding], [Stop]) is in C's memory,
// and its owner must close it.
package ort

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/internal/clib"
)

//go:generate go run generate.go

// Library is ONNX Runtime in this process. It is safe for concurrent use.
type Library struct {
	table     uintptr // the struct OrtApi
	env       uintptr
	memory    uintptr // OrtMemoryInfo of the processor's memory
	allocator uintptr // of that memory
}

// function is a place in OrtApi.
type function int

// base returns the OrtApiBase of the library at a path. Its head has not changed since the first release:
// GetApi and GetVersionString.
func base(path string) (at uintptr, version string, err error) {
	library, err := clib.Open(path)
	if err != nil {
		return 0, "", err
	}
	get := clib.Symbol(library, "OrtGetApiBase")
	if get == 0 {
		return 0, "", errors.New("it is not ONNX Runtime: it has no OrtGetApiBase")
	}
	at = clib.Call(get)
	text := clib.Call(clib.At[uintptr](at, int(unsafe.Sizeof(at))))
	return at, clib.Text(text), nil
}

// Probe loads the library at a path and returns its version, or an error if it is unsuitable.
func Probe(path string) (version string, err error) {
	_, version, err = base(path)
	if err == nil && !speaks(version) {
		err = fmt.Errorf("it is ONNX Runtime %s, this forgo needs 1.%d or newer", version, APIVersion)
	}
	return version, err
}

// speaks reports whether a version has the function table that this package knows. A library that is asked
// for a table that it lacks prints a line on stderr.
func speaks(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	first, err := strconv.Atoi(major)
	second, err2 := strconv.Atoi(minor)
	return err == nil && err2 == nil && (first > 1 || first == 1 && second >= APIVersion)
}

// Constants of onnxruntime_c_api.h.
const (
	logFatal       = 4 // ORT_LOGGING_LEVEL_FATAL
	arenaAllocator = 1 // OrtArenaAllocator
	memTypeDefault = 0 // OrtMemTypeDefault
)

var errMemory = errors.New("failed to allocate memory for a name")

// Open loads a library that [Probe] has accepted, and turns its telemetry off.
func Open(path string) (*Library, error) {
	if _, err := Probe(path); err != nil {
		return nil, err
	}
	at, version, err := base(path)
	if err != nil {
		return nil, err
	}
	l := &Library{}
	if l.table = clib.Call(clib.At[uintptr](at, 0), APIVersion); l.table == 0 {
		return nil, fmt.Errorf("it is ONNX Runtime %s, and has no API version %d", version, APIVersion)
	}
	name := clib.String("forgo")
	var made struct{ env, allocator, memory uintptr }
	// Errors are returned. A library does not write to stderr.
	if err := l.call(createEnv, logFatal, uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&made.env))); err != nil {
		return nil, err
	}
	// If the program opened the library itself before, the library did not see the environment variable.
	if err := l.call(disableTelemetryEvents, made.env); err != nil {
		return nil, fmt.Errorf("turn its telemetry off: %w", err)
	}
	if err := l.call(getAllocatorWithDefaultOptions, uintptr(unsafe.Pointer(&made.allocator))); err != nil {
		return nil, err
	}
	if err := l.call(createCpuMemoryInfo, arenaAllocator, memTypeDefault, uintptr(unsafe.Pointer(&made.memory))); err != nil {
		return nil, err
	}
	l.env, l.allocator, l.memory = made.env, made.allocator, made.memory
	return l, nil
}

// call calls a function that returns an OrtStatus. Pointers to Go's memory must be converted to uintptr in
// the argument list itself, which keeps what they point to alive until call returns.
//
//go:uintptrescapes
func (l *Library) call(f function, args ...uintptr) error {
	if status := clib.Call(l.at(f), args...); status != 0 {
		return l.failed(status)
	}
	return nil
}

func (l *Library) at(f function) uintptr {
	return clib.At[uintptr](l.table, int(f)*int(unsafe.Sizeof(l.table)))
}

// release calls a function that frees its argument.
func (l *Library) release(f function, what uintptr) {
	if what != 0 {
		_ = clib.Call(l.at(f), what)
	}
}

// failed converts a status to an error and frees it.
func (l *Library) failed(status uintptr) error {
	defer l.release(releaseStatus, status)
	text := clib.Call(l.at(getErrorMessage), status)
	if message := clib.Text(text); message != "" {
		return errors.New(message)
	}
	code := clib.Call(l.at(getErrorCode), status)
	return fmt.Errorf("ONNX Runtime failed with its error code %d", uint32(code))
}

// names returns the addresses of copies of strings in C's memory.
func (l *Library) names(values []string) ([]uintptr, error) {
	made := make([]uintptr, 0, len(values))
	for _, text := range values {
		at := new(uintptr)
		if err := l.call(allocatorAlloc, l.allocator, uintptr(len(text)+1), uintptr(unsafe.Pointer(at))); err != nil || *at == 0 {
			l.freeNames(made)
			return nil, cmp.Or(err, errMemory)
		}
		copy(clib.Bytes(*at, len(text)+1), clib.String(text))
		made = append(made, *at)
	}
	return made, nil
}

func (l *Library) freeNames(memory []uintptr) {
	for _, at := range memory {
		_ = l.call(allocatorFree, l.allocator, at)
	}
}
