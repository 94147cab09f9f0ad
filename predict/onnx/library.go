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
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"unsafe"

	"github.com/forgo-ml/forgo/predict"
)

// EnvLibrary is the environment variable that names the shared library.
const EnvLibrary = "FORGO_ONNXRUNTIME"

// apiVersion is the C API that github.com/yalue/onnxruntime_go v1.27 is compiled against;
// the library's minor version must be at least this.
const apiVersion = 24

// candidates lists where the library may be, in the order that is searched: the option, the
// environment, beside the binary, the installed onnxruntime wheel, the system. The first two
// are what somebody asked for: where one is set, nothing else is tried.
func candidates(option string) (patterns []string, asked string) {
	if option != "" {
		return []string{option}, "the Library option"
	}
	if env := os.Getenv(EnvLibrary); env != "" {
		return []string{env}, EnvLibrary
	}
	name := "libonnxruntime.so*"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime*.dylib"
	}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		patterns = append(patterns, filepath.Join(dir, name), filepath.Join(dir, "../lib", name),
			// the binary of the forgo wheel has the onnxruntime wheel as a neighbour
			filepath.Join(dir, "../../onnxruntime/capi", name))
	}
	for _, prefix := range pythonPrefixes() {
		patterns = append(patterns, filepath.Join(prefix, "lib/python3*/site-packages/onnxruntime/capi", name))
	}
	for _, dir := range []string{"/usr/local/lib", "/usr/lib/" + multiarch(), "/usr/lib64", "/usr/lib", "/opt/onnxruntime/lib", "/opt/homebrew/lib"} {
		patterns = append(patterns, filepath.Join(dir, name))
	}
	return patterns, ""
}

// pythonPrefixes are the environments whose onnxruntime wheel may serve: the one that
// FORGO_PYTHON names (the Python command sets it), the active one, the python3 on PATH.
func pythonPrefixes() []string {
	var out []string
	for _, env := range []string{"FORGO_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX"} {
		if v := os.Getenv(env); v != "" {
			out = append(out, v)
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, "python3")); err == nil && !info.IsDir() {
			out = append(out, filepath.Dir(dir))
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		out = append(out, filepath.Join(home, ".local"))
	}
	return out
}

func multiarch() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

// find returns the first library that loads and is new enough. Its error names every place
// looked at, and both versions where they do not match.
func find(option string) (predict.Library, error) {
	patterns, asked := candidates(option)
	var unfit, looked []string
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern)
		if asked != "" {
			matches = patterns // a bare name is the dynamic linker's to find
		}
		sort.Sort(sort.Reverse(sort.StringSlice(matches)))
		for _, path := range matches {
			version, err := probe(path)
			if err == nil {
				return predict.Library{Path: path, Version: version}, nil
			}
			unfit = append(unfit, fmt.Sprintf("%s: %v", path, err))
		}
		looked = append(looked, pattern)
	}
	switch {
	case asked != "":
		return predict.Library{}, fmt.Errorf("load ONNX Runtime as %s says: %s", asked, unfit[0])
	case len(unfit) > 0:
		return predict.Library{}, fmt.Errorf("load ONNX Runtime: %s", strings.Join(unfit, "; "))
	}
	return predict.Library{}, fmt.Errorf("no ONNX Runtime found: pip install onnxruntime, or set %s to libonnxruntime.so (looked at %s)",
		EnvLibrary, strings.Join(looked, ", "))
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
