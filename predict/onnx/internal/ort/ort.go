// Package ort calls ONNX Runtime's C API, without cgo: those of its functions that the engine uses.
//
// A [Library] is opened once. What is made of it ([Session], [Value], [Binding], [Stop]) is memory of C,
// which its owner closes.
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

// base returns the OrtApiBase of the library at a path, whose head has not changed since the first release:
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

// Probe loads the library at a path and returns its version, or why it is unfit.
func Probe(path string) (version string, err error) {
	_, version, err = base(path)
	if err == nil && !speaks(version) {
		err = fmt.Errorf("it is ONNX Runtime %s, this forgo needs 1.%d or newer", version, APIVersion)
	}
	return version, err
}

// speaks says whether a version has the table of functions that this package knows. Asking the library
// itself for one that it lacks prints a line on stderr.
func speaks(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	first, err := strconv.Atoi(major)
	second, err2 := strconv.Atoi(minor)
	return err == nil && err2 == nil && (first > 1 || first == 1 && second >= APIVersion)
}

// The constants of onnxruntime_c_api.h that are used.
const (
	logFatal       = 4 // ORT_LOGGING_LEVEL_FATAL
	arenaAllocator = 1 // OrtArenaAllocator
	memTypeDefault = 0 // OrtMemTypeDefault
)

var errMemory = errors.New("failed to allocate memory for a name")

// Open loads a library that [Probe] found fit. It turns its telemetry off.
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
	// What matters comes back as an error; a library does not write to stderr.
	if err := l.call(createEnv, logFatal, uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&made.env))); err != nil {
		return nil, err
	}
	// A library that the program itself opened first did not see the environment variable.
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

// call calls a function that returns an OrtStatus. Pointers to Go's memory among the arguments must be
// converted in the call itself, which keeps what they point to until it returns.
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

// release calls a function that frees what it is given.
func (l *Library) release(f function, what uintptr) {
	if what != 0 {
		_ = clib.Call(l.at(f), what)
	}
}

// failed makes an error of a status, and frees it.
func (l *Library) failed(status uintptr) error {
	defer l.release(releaseStatus, status)
	text := clib.Call(l.at(getErrorMessage), status)
	if message := clib.Text(text); message != "" {
		return errors.New(message)
	}
	code := clib.Call(l.at(getErrorCode), status)
	return fmt.Errorf("ONNX Runtime failed with its error code %d", uint32(code))
}

// names are strings in C's memory.
func (l *Library) names(texts []string) ([]uintptr, error) {
	made := make([]uintptr, 0, len(texts))
	for _, text := range texts {
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
