package tensorflow

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "capi.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"unsafe"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/internal/sharedlib"
)

// EnvLibrary is the environment variable that names the shared library: libtensorflow_cc of
// the tensorflow wheel, or libtensorflow of a release for C.
const EnvLibrary = "FORGO_TENSORFLOW"

// loaded is the process's one TensorFlow.
var loaded struct {
	sync.Mutex
	library predict.Library
}

func (e engine) Library() (predict.Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.library.Path != "" {
		if e.library != "" && e.library != loaded.library.Path {
			return predict.Library{}, fmt.Errorf("load TensorFlow from %s: this process already has %s", e.library, loaded.library.Path)
		}
		return loaded.library, nil
	}
	lib, err := find(e.library)
	if err == nil {
		loaded.library = lib
	}
	return lib, err
}

// find loads the first TensorFlow that has what is needed: of a wheel, or a release for C.
func find(option string) (predict.Library, error) {
	files := []string{"libtensorflow_cc.so*", "libtensorflow.so*"}
	if runtime.GOOS == "darwin" {
		files = []string{"libtensorflow_cc*.dylib", "libtensorflow.*dylib"}
	}
	return sharedlib.Search{
		Name: "TensorFlow", Env: EnvLibrary, Files: files, Wheel: "tensorflow",
		System:  []string{"/opt/tensorflow/lib"},
		Install: "put its shared libraries (libtensorflow_cc, libtensorflow_framework) beside the binary, pip install tensorflow-cpu",
		Probe:   open,
	}.Find(option)
}

// frameworks are the names of the library that the other one needs. Its own way of finding
// it may be lost where wheels are repacked, so it is opened first, from the same folder.
var frameworks = []string{"libtensorflow_framework.so.2", "libtensorflow_framework.2.dylib"}

// open loads the library at a path into the process.
func open(path string) (version string, err error) {
	var first *C.char
	for _, name := range frameworks {
		name = filepath.Join(filepath.Dir(path), name)
		if _, err := os.Stat(name); err == nil {
			first = C.CString(name)
			defer C.free(unsafe.Pointer(first))
		}
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var reason *C.char
	v := C.forgo_tf_open(first, name, &reason)
	if v == nil {
		defer C.free(unsafe.Pointer(reason))
		return "", errors.New(C.GoString(reason))
	}
	return C.GoString(v), nil
}
