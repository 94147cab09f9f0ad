package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/predict/engines"
)

// kind is what a path on the command line is: a bundle, a .keras file, or a graph of a format.
type kind struct {
	name   string
	noun   string
	format string // of a graph
}

var (
	kindBundle = kind{name: "bundle", noun: "a bundle"}
	kindKeras  = kind{name: "keras", noun: "a .keras file"}
)

// isGraph says that an engine opens it as it is.
func (k kind) isGraph() bool { return k.format != "" }

// formats returns the engines' formats, each once, whose graphs are folders, or files.
func formats(folders bool) (list []engines.Format) {
	for _, e := range allEngines() {
		f := e.Info().Format
		if f.Folder == folders && !slices.ContainsFunc(list, func(o engines.Format) bool { return o.Name == f.Name }) {
			list = append(list, f)
		}
	}
	return list
}

func graphKind(f engines.Format) kind { return kind{name: f.Kind, noun: f.Noun, format: f.Name} }

// kindOf recognizes what is at a path. If it knows nothing like it, the error goes by the path's name.
// All other files are of the first format, for its reader to refuse.
func kindOf(path string) (kind, error) {
	if path == own.name() {
		return kindBundle, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return kind{}, fmt.Errorf("%s: no such file or folder", path)
	}
	if info.IsDir() {
		return kindOfFolder(path)
	}
	for _, f := range formats(true) {
		if filepath.Base(path) == f.Files[0] {
			return kind{}, fmt.Errorf("%s: this is part of %s: name its folder", path, f.Noun)
		}
	}
	file, err := regular.Open(path)
	if err != nil {
		return kind{}, err
	}
	defer file.Close()
	start := make([]byte, 8)
	if _, err := io.ReadFull(file, start); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return kind{}, err
	}
	switch {
	case string(start[:4]) == "PK\x03\x04":
		return kindKeras, nil
	case string(start) == "\x89HDF\r\n\x1a\n":
		return kind{}, fmt.Errorf("%s: only Python reads HDF5 files; export it first: forgo export %s -o NAME.forgo", path, path)
	}
	extension := strings.ToLower(filepath.Ext(path))
	switch extension {
	case ".keras":
		return kind{}, fmt.Errorf("%s: not a .keras file: it does not start like a zip archive; save or copy the model again", path)
	case ".h5", ".hdf5":
		return kind{}, fmt.Errorf("%s: not an HDF5 file: it does not start like one; save or copy the model again, then forgo export %s -o NAME.forgo", path, path)
	}
	files := formats(false)
	i := slices.IndexFunc(files, func(f engines.Format) bool { return slices.Contains(f.Files, extension) })
	return graphKind(files[max(i, 0)]), nil
}

func kindOfFolder(path string) (kind, error) {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(path, name))
		return err == nil
	}
	if has("forgo.json") {
		return kindBundle, nil
	}
	kinds, files := "neither a bundle", "no forgo.json"
	for _, f := range formats(true) {
		if slices.ContainsFunc(f.Files, has) {
			return graphKind(f), nil
		}
		kinds, files = kinds+" nor "+f.Noun, files+" and no "+f.Files[0]
	}
	return kind{}, fmt.Errorf("%s: %s: it has %s", path, kinds, files)
}
