//go:build linux

package main

// Bundles whose answers tell which one they are.

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// columns of the one input and the one output.
const columns = 3

// graph is an ONNX model that answers 2x+1 to x: its only 1 becomes the content's number.
type graph []byte

// readGraph reads it from the repository.
func readGraph(root string) (graph, error) {
	data, err := os.ReadFile(filepath.Join(root, "conformance", "graphs", "affine.onnx"))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(data, float(1)); n != 1 {
		return nil, fmt.Errorf("affine.onnx has %d ones, not 1", n)
	}
	return data, nil
}

func float(x float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)) }

// answer is what content k answers to x, exact for every number used here.
func answer(k int, x float32) float32 { return 2*x + float32(k) }

// files returns the files of a bundle that answers 2x+k. One that is skewed was recorded as answering
// otherwise: its digests are right and its golden case is not.
func (g graph) files(model string, k int, skewed bool) map[string][]byte {
	network := map[string][]byte{"model.onnx": bytes.Replace(g, float(1), float(float32(k)), 1)}
	return bundle(model, "onnxruntime", map[string]any{"path": "model.onnx"}, network, k, skewed)
}

// savedModel is the content of TensorFlow's model, which never changes: it answers 2x+1.
const savedModel = 1

// savedModelFiles returns the files of its bundle. TensorFlow opens a copy, so that each load of it writes in TMPDIR.
func savedModelFiles(root string) (map[string][]byte, error) {
	network := map[string][]byte{}
	folder := filepath.Join(root, "conformance", "savedmodels", "affine")
	for _, name := range []string{"saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"} {
		data, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		network["saved_model/"+name] = data
	}
	opened := map[string]any{"path": "saved_model", "tags": []string{"serve"}, "signature": "serving_default"}
	return bundle(still, "tensorflow", opened, network, savedModel, false), nil
}

func bundle(model, engine string, opened map[string]any, network map[string][]byte, k int, skewed bool) map[string][]byte {
	row := []float32{1, -2, 3}
	var expected []float32
	for _, x := range row {
		y := answer(k, x)
		if skewed {
			y += 7
		}
		expected = append(expected, y)
	}
	files := maps.Clone(network)
	files["golden/000.json"] = []byte("[1,-2,3]")
	files["golden/000.safetensors"] = safetensors(row, expected)
	listed := map[string]any{}
	for name, data := range files {
		sum := sha256.Sum256(data)
		listed[name] = map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(data)}
	}
	end := func(name string) []any {
		return []any{map[string]any{"name": name, "graph_name": name, "dtype": "float32", "shape": []any{nil, columns}}}
	}
	manifest, err := json.Marshal(map[string]any{
		"format": 1, "name": model, "task": "tensors", "engine": engine, "graph": opened,
		"inputs": end("x"), "outputs": end("y"), "tolerance": map[string]any{"decode": 0, "preprocess": 1e-5, "model": 1e-4},
		"golden": map[string]any{"cases": []any{map[string]any{
			"id": "000", "input": "golden/000.json", "content_type": "application/json", "tensors": "golden/000.safetensors",
		}}},
		"files": listed, "provenance": map[string]any{"content": k},
	})
	if err != nil {
		panic(err) // strings and numbers alone
	}
	sum := sha256.Sum256(manifest)
	files["forgo.json"] = manifest
	files["forgo.sha256"] = []byte(hex.EncodeToString(sum[:]) + "  forgo.json\n")
	return files
}

func safetensors(x, y []float32) []byte {
	size := 4 * len(x)
	entry := func(from int) map[string]any {
		return map[string]any{"dtype": "F32", "shape": []int{1, len(x)}, "data_offsets": []int{from, from + size}}
	}
	header, err := json.Marshal(map[string]any{"input.x": entry(0), "output.y": entry(size)})
	if err != nil {
		panic(err)
	}
	out := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	for _, v := range slices.Concat(x, y) {
		out = append(out, float(v)...)
	}
	return out
}

// write puts files into a folder, one after another in a random order, and calls between them.
func write(folder string, files map[string][]byte, chance *rand.Rand, between func()) error {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	chance.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o600); err != nil {
			return err
		}
		between()
	}
	return nil
}
