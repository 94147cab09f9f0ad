//go:build cgo

package onnx

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

// The head of ONNX Runtime's OrtApiBase, which has not changed since its first release.
typedef struct {
	const void *(*get_api)(unsigned int version);
	const char *(*get_version)(void);
} forgo_ort_base;

// Returns the library's version, or NULL with *reason set. *speaks tells whether it offers
// the API version asked for.
static const char *forgo_ort_probe(const char *path, unsigned int api, int *speaks, const char **reason) {
	void *lib = dlopen(path, RTLD_LAZY);
	if (lib == NULL) { *reason = dlerror(); return NULL; }
	forgo_ort_base *(*base)(void) = (forgo_ort_base *(*)(void)) dlsym(lib, "OrtGetApiBase");
	if (base == NULL) { *reason = "it is not ONNX Runtime: it has no OrtGetApiBase"; return NULL; }
	const char *version = base()->get_version();
	// Asking for an API that is too new prints a line on stderr: compare versions instead.
	unsigned int major = 0, minor = 0;
	for (const char *c = version; *c && *c != '.'; c++) major = major * 10 + (*c - '0');
	const char *dot = version;
	while (*dot && *dot != '.') dot++;
	for (const char *c = dot + (*dot != 0); *c >= '0' && *c <= '9'; c++) minor = minor * 10 + (*c - '0');
	*speaks = major > 1 || minor >= api;
	return version;
}
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/internal/sharedlib"
)

// EnvLibrary is the environment variable that names the shared library.
const EnvLibrary = "FORGO_ONNXRUNTIME"

// apiVersion is the C API that github.com/yalue/onnxruntime_go v1.27 is compiled against;
// the library's minor version must be at least this.
const apiVersion = 24

// envTelemetry turns ONNX Runtime's telemetry off, which otherwise sends a device id and run counts
// to its maker and keeps a database of them in the user's cache. ONNX Runtime reads the variable when
// it starts, so it must be in the C environment before the library is opened. With cgo, os.Setenv
// puts it there.
const envTelemetry = "ORT_DISABLE_TELEMETRY"

// find returns the first ONNX Runtime that loads and is new enough.
func find(option string) (predict.Library, error) {
	if err := os.Setenv(envTelemetry, "1"); err != nil {
		return predict.Library{}, fmt.Errorf("turn ONNX Runtime's telemetry off: %w", err)
	}
	files := []string{"libonnxruntime.so*"}
	if runtime.GOOS == "darwin" {
		files = []string{"libonnxruntime*.dylib"}
	}
	return sharedlib.Search{
		Name: "ONNX Runtime", Env: EnvLibrary, Files: files, Wheel: "onnxruntime/capi",
		System:  []string{"/opt/onnxruntime/lib"},
		Install: fmt.Sprintf("put its shared library (%s, 1.%d or newer) beside the binary, pip install onnxruntime", strings.TrimSuffix(files[0], "*"), apiVersion),
		Probe:   probe,
	}.Find(option)
}

func probe(path string) (version string, err error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var speaks C.int
	var reason *C.char
	v := C.forgo_ort_probe(name, apiVersion, &speaks, &reason)
	if v == nil {
		return "", fmt.Errorf("%s", C.GoString(reason))
	}
	version = C.GoString(v)
	if speaks == 0 {
		return "", fmt.Errorf("it is ONNX Runtime %s, this forgo needs 1.%d or newer", version, apiVersion)
	}
	return version, nil
}
