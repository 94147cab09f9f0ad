package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/forgo-ml/forgo/internal/regular"
)

// kind is what a path on the command line is.
type kind string

const (
	kindBundle     kind = "bundle"
	kindSavedModel kind = "savedmodel"
	kindONNX       kind = "onnx"
	kindKeras      kind = "keras"
)

// kindOf looks at what is there; at names where that is nothing it knows, to say what it is not.
// All other files are ONNX, for their reader to refuse.
func kindOf(path string) (kind, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%s: no such file or folder", path)
	}
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(path, name))
		return err == nil
	}
	if info.IsDir() {
		switch {
		case has("forgo.json"):
			return kindBundle, nil
		case has("saved_model.pb"), has("saved_model.pbtxt"), has("saved_model.cpb"):
			return kindSavedModel, nil
		}
		return "", fmt.Errorf("%s: it is neither a bundle nor a SavedModel: there is no forgo.json and no saved_model.pb in it", path)
	}
	if filepath.Base(path) == "saved_model.pb" {
		return "", fmt.Errorf("%s: it is part of a SavedModel: name its folder", path)
	}
	file, err := regular.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	start := make([]byte, 8)
	if _, err := io.ReadFull(file, start); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch {
	case string(start[:4]) == "PK\x03\x04":
		return kindKeras, nil
	case string(start) == "\x89HDF\r\n\x1a\n":
		return "", fmt.Errorf("%s: it is an HDF5 file, which only Python reads: forgo export %s -o NAME.forgo", path, path)
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".keras":
		return "", fmt.Errorf("%s: no .keras file: it does not begin as a zip archive; save or copy the model again", path)
	case ".h5", ".hdf5":
		return "", fmt.Errorf("%s: no HDF5 file: it does not begin as one; save or copy the model again, then forgo export %s -o NAME.forgo", path, path)
	}
	return kindONNX, nil
}
