package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// kerasSummary is what a .keras file says of itself.
type kerasSummary struct {
	Version string `json:"keras_version"`
	Saved   string `json:"saved,omitempty"`
	Class   string `json:"class"` // Functional, Sequential, or a class of its own
	Name    string `json:"name,omitempty"`
}

// kerasLayer is a layer, or a model in a model, as config.json has it.
type kerasLayer struct {
	Class  string `json:"class_name"`
	Config struct {
		Name         string       `json:"name"`
		BatchShape   []*int64     `json:"batch_shape"`
		DType        kerasDType   `json:"dtype"`
		Units        int64        `json:"units"`
		Layers       []kerasLayer `json:"layers"`
		OutputLayers any          `json:"output_layers"`
	} `json:"config"`
	Build struct {
		InputShape any `json:"input_shape"`
	} `json:"build_config"`
}

// kerasDType is a type by its name, or a policy that has one.
type kerasDType string

func (d *kerasDType) UnmarshalJSON(raw []byte) error {
	var policy struct {
		Config struct{ Name string }
	}
	if json.Unmarshal(raw, &policy) == nil {
		*d = kerasDType(policy.Config.Name)
		return nil
	}
	return json.Unmarshal(raw, (*string)(d))
}

// inspectKeras reads a .keras file: a zip archive whose structure is JSON. Its weights, which
// are HDF5, are passed over.
func inspectKeras(path string) (inspection, error) {
	i := inspection{Kind: kindKeras.name, Path: path, Keras: &kerasSummary{}}
	i.Inspection = engines.Inspection{Inputs: []engines.TensorInfo{}, Outputs: []engines.TensorInfo{}, Operations: map[string]int{}}
	fail := func(err error) (inspection, error) {
		return inspection{}, fmt.Errorf("%s: not a complete .keras file: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fail(err)
	}
	i.Size = info.Size()
	file, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer file.Close()
	directory := &boundedAt{ReaderAt: file, left: maxDirectory}
	archive, err := zip.NewReader(directory, i.Size)
	if err != nil {
		return fail(err)
	}
	directory.left = math.MaxInt64 // members have bounds of their own
	var metadata struct {
		Version string `json:"keras_version"`
		Saved   string `json:"date_saved"`
	}
	var model kerasLayer
	if err := errors.Join(readMember(archive, "metadata.json", &metadata), readMember(archive, "config.json", &model)); err != nil {
		return fail(err)
	}
	*i.Keras = kerasSummary{Version: metadata.Version, Saved: metadata.Saved, Class: model.Class, Name: model.Config.Name}
	model.count(i.Operations)
	for _, layer := range model.Config.Layers {
		if layer.Class == "InputLayer" {
			i.Inputs = append(i.Inputs, engines.TensorInfo{Name: layer.Config.Name, DType: tensor.DType(layer.Config.DType), Shape: freed(layer.Config.BatchShape)})
		}
	}
	outputs := kerasNames(model.Config.OutputLayers)
	if n := len(model.Config.Layers); len(outputs) == 0 && n > 0 { // of a Sequential it is the last
		outputs = []string{model.Config.Layers[n-1].Config.Name}
	}
	for _, name := range outputs {
		for _, layer := range model.Config.Layers {
			if layer.Config.Name == name {
				i.Outputs = append(i.Outputs, engines.TensorInfo{Name: name, DType: tensor.DType(layer.Config.DType), Shape: layer.shape()})
			}
		}
	}
	return i, nil
}

// What no honest file has more of. A byte of a zip archive can stand for a thousand of its member, and a
// byte of JSON for a hundred in memory.
const (
	maxDirectory = 8 << 20  // bytes of the archive's list of members
	maxStructure = 16 << 20 // bytes of a JSON member
	maxObjects   = 100_000  // in a JSON member
	maxValues    = 1 << 20
)

// boundedAt ends with an error once so many bytes were read.
type boundedAt struct {
	io.ReaderAt
	left int64
}

func (b *boundedAt) ReadAt(p []byte, at int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("its list of members exceeds %d bytes", maxDirectory)
	}
	return b.ReaderAt.ReadAt(p, at)
}

// readMember reads a JSON file of the archive.
func readMember(archive *zip.Reader, name string, into any) error {
	file, err := archive.Open(name)
	if err != nil {
		return fmt.Errorf("it contains no %s", name)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxStructure+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case len(data) > maxStructure:
		return fmt.Errorf("%s: it exceeds %d bytes when decompressed", name, maxStructure)
	case bytes.Count(data, []byte{'{'}) > maxObjects || bytes.Count(data, []byte{','})+bytes.Count(data, []byte{'['}) > maxValues:
		return fmt.Errorf("%s: it has more than %d objects or %d values, too many for a model's structure", name, maxObjects, maxValues)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// count counts layers by class, those of inner models included.
func (l *kerasLayer) count(into map[string]int) {
	for _, layer := range l.Config.Layers {
		into[layer.Class]++
		layer.count(into)
	}
}

// shape is that of the layer's output, where the file says it: nil where it does not.
func (l *kerasLayer) shape() []int64 {
	in, ok := l.Build.InputShape.([]any)
	if !ok || len(in) == 0 || l.Config.Units == 0 {
		return nil
	}
	out := make([]int64, len(in))
	for i, size := range in {
		out[i] = -1
		if n, ok := size.(float64); ok {
			out[i] = int64(n)
		}
	}
	out[len(out)-1] = l.Config.Units
	return out
}

func freed(shape []*int64) []int64 {
	out := make([]int64, len(shape))
	for i, size := range shape {
		out[i] = -1
		if size != nil {
			out[i] = *size
		}
	}
	return out
}

// kerasNames finds the layers' names in [name, 0, 0], in a list of those, or in an object of them.
func kerasNames(from any) (names []string) {
	switch v := from.(type) {
	case []any:
		if len(v) == 3 {
			if name, ok := v[0].(string); ok {
				return []string{name}
			}
		}
		for _, inner := range v {
			names = append(names, kerasNames(inner)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			names = append(names, kerasNames(v[key])...)
		}
	}
	return names
}
