package tensorflow

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/clib"
	"github.com/forgo-ml/forgo/predict/internal/sharedlib"
)

// EnvLibrary is the environment variable that names the shared library: libtensorflow_cc from the
// tensorflow wheel, or libtensorflow from a C release.
const EnvLibrary = "FORGO_TENSORFLOW"

// loaded is the process's one TensorFlow.
var loaded struct {
	sync.Mutex
	info engines.Library
}

func (e engine) Library() (engines.Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.info.Path != "" {
		if e.path != "" && e.path != loaded.info.Path {
			return engines.Library{}, fmt.Errorf("load TensorFlow from %s: this process already has %s", e.path, loaded.info.Path)
		}
		return loaded.info, nil
	}
	lib, err := find(e.path)
	if err == nil {
		loaded.info = lib
	}
	return lib, err
}

// find loads the first suitable TensorFlow: a wheel's, or a C release's.
func find(option string) (engines.Library, error) {
	if runtime.GOOS == "windows" {
		return engines.Library{}, errors.New("load TensorFlow: forgo does not run SavedModels on Windows; export the model as ONNX")
	}
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

// frameworks are the names of the library that the main one needs. A repacked wheel may have lost the way
// to it, so it is opened first, from the same folder.
var frameworks = []string{"libtensorflow_framework.so.2", "libtensorflow_framework.2.dylib"}

// open loads the library at a path into the process. It is not safe for concurrent use.
func open(path string) (version string, err error) {
	first := ""
	for _, name := range frameworks {
		name = filepath.Join(filepath.Dir(path), name)
		if _, err := os.Stat(name); err == nil {
			first = name
		}
	}
	var library uintptr
	quietly(func() {
		// A library does not write to stderr, unless whoever runs the process asks for it.
		// Each session has the threads it was given; otherwise the first one's count is every one's.
		if err = errors.Join(ask("TF_CPP_MIN_LOG_LEVEL", "3"), ask("TF_OVERRIDE_GLOBAL_THREADPOOL", "1")); err != nil {
			return
		}
		if first != "" {
			if _, err = clib.Open(first); err != nil {
				return
			}
		}
		library, err = clib.Open(path)
	})
	if err != nil {
		return "", err
	}
	found, err := bind(library)
	if err != nil {
		clib.Close(library)
		return "", err
	}
	tf = found
	return clib.Text(clib.Call(tf.Version)), nil
}

// ask sets a variable, for C too, unless it is set already.
func ask(name, value string) error {
	if _, set := os.LookupEnv(name); set {
		return nil
	}
	return os.Setenv(name, value)
}
