//go:build linux || darwin

package tensorflow

// Keeps two lines off stderr that TensorFlow writes as its library is opened, before it heeds
// TF_CPP_MIN_LOG_LEVEL. The variable in their second, TF_ENABLE_ONEDNN_OPTS, would change answers.
//
// C's stream is exchanged, not the file descriptor: what Go writes, and its report of a crash, has
// none of this in its way, and all other lines of C go on to stderr at once.

import (
	"bytes"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/forgo-ml/forgo/predict/internal/clib"
)

var (
	first  = []byte("WARNING: All log messages before absl::InitializeLog()")
	second = []byte("oneDNN custom operations are on")
)

func unasked(line []byte) bool {
	return bytes.HasPrefix(line, first) || bytes.HasPrefix(line, []byte("I")) && bytes.Contains(line, second)
}

// filter passes on what a stream's user writes. TensorFlow writes a line in one piece.
func filter(text []byte) {
	for line := range bytes.Lines(text) {
		for !unasked(line) && len(line) > 0 {
			n, err := syscall.Write(syscall.Stderr, line)
			if err != nil || n <= 0 {
				return // there is nobody to report it to
			}
			line = line[n:]
		}
	}
}

// stream returns where the variable is that holds C's stderr, and a stream that is filtered: 0 where this C
// library has no such variable. There is one stream, and it is never closed: another thread may be about to
// write to it when stderr is itself again.
var stream = func() func() (variable, filtered uintptr) {
	var variable, filtered uintptr
	return func() (uintptr, uintptr) {
		if filtered == 0 {
			variable, filtered = newStream()
		}
		return variable, filtered
	}
}()

func newStream() (variable, filtered uintptr) {
	symbol := func(name string) uintptr { return clib.Symbol(purego.RTLD_DEFAULT, name) }
	mode := clib.String("w")
	switch {
	case runtime.GOOS == "darwin":
		write := purego.NewCallback(func(_ uintptr, text uintptr, n int32) int32 {
			filter(clib.Bytes(text, int(n)))
			return n
		})
		variable, filtered = symbol("__stderrp"), clib.Call(symbol("funopen"), 0, 0, write, 0, 0)
	case symbol("gnu_get_libc_version") == 0: // another C library's stderr is a constant
		return 0, 0
	default:
		write := purego.NewCallback(func(_ uintptr, text uintptr, n int) int {
			filter(clib.Bytes(text, n))
			return n
		})
		functions := [4]uintptr{1: write} // cookie_io_functions_t: read, write, seek, close
		variable = symbol("stderr")
		switch open := symbol("fopencookie"); runtime.GOARCH {
		case "amd64": // the four are on the stack, after the six arguments that registers hold
			filtered = clib.Call(open, 0, uintptr(unsafe.Pointer(&mode[0])), 0, 0, 0, 0, functions[0], functions[1], functions[2], functions[3])
		case "arm64": // they are passed by their address
			filtered = clib.Call(open, 0, uintptr(unsafe.Pointer(&mode[0])), uintptr(unsafe.Pointer(&functions)))
		}
	}
	if variable == 0 || filtered == 0 {
		return 0, 0
	}
	const unbuffered = 2 // _IONBF
	clib.Call(symbol("setvbuf"), filtered, 0, unbuffered, 0)
	return variable, filtered
}

// quietly calls f while C's stderr is without what TensorFlow says of itself unasked. It is not for
// concurrent use.
func quietly(f func()) {
	if os.Getenv("TF_CPP_VMODULE") != "" || os.Getenv("TF_CPP_MIN_LOG_LEVEL") == "0" { // the user wants its log
		f()
		return
	}
	variable, filtered := stream()
	if filtered == 0 {
		f()
		return
	}
	stderr := (*uintptr)(clib.Pointer(variable))
	own := *stderr
	*stderr = filtered
	defer func() { *stderr = own }()
	f()
}
