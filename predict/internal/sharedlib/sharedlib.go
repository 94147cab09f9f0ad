// Package sharedlib finds the shared library of an engine. [Search.asked] and [Search.folders] define the
// order, which is the same for every engine.
package sharedlib

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/engines"
)

// Search describes a library to find. All fields but System are required.
type Search struct {
	Name   string   // of the library, for people: "ONNX Runtime"
	Env    string   // the environment variable that names its file
	Files  []string // patterns of its file's name, best first
	Wheel  string   // the folder in site-packages where its wheel keeps it
	System []string // folders besides the system's usual ones
	// Install says how to get the library, apart from setting Env: "put libx.so beside the binary".
	Install string
	// Probe loads the library at a path and returns its version, or an error if it is unsuitable.
	Probe func(path string) (version string, err error)
}

// configured returns the library that the user named, and where. Nothing else is tried then. The option comes
// before the environment.
func (s Search) configured(option string) (path, where string) {
	if option != "" {
		return option, "the Library option"
	}
	return os.Getenv(s.Env), s.Env
}

// folders returns the folders that may hold the library, in order: beside the binary, in the installed
// wheel, on the system.
func (s Search) folders() (dirs []string) {
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		// The binary of the forgo wheel is next to the library's wheel.
		dirs = append(dirs, dir, filepath.Join(dir, "../lib"), filepath.Join(dir, "../..", s.Wheel))
	}
	for _, prefix := range pythonPrefixes() {
		dirs = append(dirs, filepath.Join(prefix, "lib/python3*/site-packages", s.Wheel))
	}
	dirs = append(dirs, "/usr/local/lib", "/usr/lib/"+multiarch(), "/usr/lib64", "/usr/lib")
	dirs = append(dirs, s.System...)
	return append(dirs, "/opt/homebrew/lib")
}

// pythonPrefixes returns the environments whose wheel may serve: the one in FORGO_PYTHON, which the Python
// command sets, the active one, and that of the python3 on PATH.
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

// Find returns the first library that loads and is suitable. Its error lists every place that it tried,
// and says why the libraries found there are unsuitable.
func (s Search) Find(option string) (engines.Library, error) {
	if static() {
		return engines.Library{}, fmt.Errorf("load %s: this program is linked statically and cannot open shared libraries: "+
			"build it without -extldflags -static", s.Name)
	}
	if path, where := s.configured(option); path != "" {
		version, err := s.Probe(path) // a bare name is the dynamic linker's to find
		if err != nil {
			return engines.Library{}, fmt.Errorf("load %s: %s names %s: %w", s.Name, where, path, err)
		}
		return engines.Library{Path: path, Version: version}, nil
	}
	var unfit []string
	dirs := s.folders()
	for _, dir := range dirs {
		for _, file := range s.Files {
			matches, _ := filepath.Glob(filepath.Join(dir, file))
			slices.Sort(matches)
			for _, path := range slices.Backward(matches) {
				version, err := s.Probe(path)
				if err == nil {
					return engines.Library{Path: path, Version: version}, nil
				}
				unfit = append(unfit, fmt.Sprintf("%s: %v", path, err))
			}
		}
	}
	if len(unfit) > 0 {
		return engines.Library{}, fmt.Errorf("load %s: %s", s.Name, strings.Join(unfit, "; "))
	}
	return engines.Library{}, fmt.Errorf("no %s found: %s, or set %s to it (looked for %s in %s)",
		s.Name, s.Install, s.Env, strings.Join(s.Files, " and "), strings.Join(dirs, ", "))
}
