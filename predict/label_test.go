package predict_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// TestTheLabelIsReplayedByItself plants a case whose two best classes are so close that the scores agree within the
// tolerance, while the best label is another: the label alone says so.
func TestTheLabelIsReplayedByItself(t *testing.T) {
	m, err := predict.Load(t.Context(), iris, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	row := func(share float64) []float32 { // from a versicolor to a virginica
		from, to := []float64{6.0, 2.7, 4.2, 1.3}, []float64{6.5, 3.0, 5.8, 2.2}
		out := make([]float32, len(from))
		for i := range out {
			out[i] = float32(from[i] + share*(to[i]-from[i]))
		}
		return out
	}
	run := func(share float64) (probabilities, logits []float32) {
		out, err := m.Run(t.Context(), predict.Tensors{"input": {Shape: []int64{1, 4}, Data: row(share)}})
		if err != nil {
			t.Fatal(err)
		}
		return out["probabilities"].Data.([]float32), out["logits"].Data.([]float32)
	}
	low, high := 0.0, 1.0
	for range 40 {
		if p, _ := run((low + high) / 2); p[1] > p[2] {
			low = (low + high) / 2
		} else {
			high = (low + high) / 2
		}
	}
	p, logits := run(low)
	if d := p[1] - p[2]; d <= 0 || d > 5e-5 {
		t.Fatalf("no row is near enough to the border: %v", p)
	}
	text, err := json.Marshal(row(low))
	if err != nil {
		t.Fatal(err)
	}
	path := bundletest.Copy(t, iris)
	file, err := os.ReadFile(filepath.Join(path, "golden/000.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	data := file[8+binary.LittleEndian.Uint64(file):]
	write := func(values ...float32) {
		for _, v := range values {
			binary.LittleEndian.PutUint32(data, math.Float32bits(v))
			data = data[4:]
		}
	}
	write(row(low)...)
	write(logits[0], logits[2], logits[1])
	write(p[0], p[2], p[1])
	bundletest.Write(t, path, "golden/000.safetensors", file)
	bundletest.Write(t, path, "golden/000.json", text)
	bundletest.Edit(t, path, func(manifest map[string]any) {
		manifest["golden"].(map[string]any)["cases"].([]any)[0].(map[string]any)["label"] = "virginica"
	})
	_, err = predict.Load(t.Context(), path, onnx.Engine())
	if err == nil || !strings.Contains(err.Error(), `answered "versicolor", training answered "virginica"`) {
		t.Errorf("loaded with %v", err)
	}
}

// TestOutputsAreReplayedFromTheRawInput plants a case whose recorded input is within its tolerance of what the picture
// gives, with the answers to that input. Each stage by itself agrees; the way from the picture to the outputs does not.
func TestOutputsAreReplayedFromTheRawInput(t *testing.T) {
	m, err := predict.Load(t.Context(), shapes, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := bundletest.Copy(t, shapes)
	const tensors = "golden/005.safetensors"
	file, err := os.ReadFile(filepath.Join(path, tensors))
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := tensor.ReadSafetensors(file)
	if err != nil {
		t.Fatal(err)
	}
	in := recorded["input.pixels"]
	for i, v := range in.Data.([]float32) {
		in.Data.([]float32)[i] = v + []float32{9e-4, -9e-4, -9e-4}[i%3]*max(1, v) // redder
	}
	out, err := m.Run(t.Context(), predict.Tensors{"pixels": in})
	if err != nil {
		t.Fatal(err)
	}
	moved := 0.0
	length := 8 + binary.LittleEndian.Uint64(file)
	var header map[string]struct {
		Offsets [2]uint64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(file[8:length], &header); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]tensor.Tensor{"input.pixels": in, "output.logits": out["logits"], "output.probabilities": out["probabilities"]} {
		if name != "input.pixels" {
			d, err := tensor.Difference(x, recorded[name])
			if err != nil {
				t.Fatal(err)
			}
			moved = max(moved, d)
		}
		for i, v := range x.Data.([]float32) {
			binary.LittleEndian.PutUint32(file[length+header[name].Offsets[0]+4*uint64(i):], math.Float32bits(v))
		}
	}
	if moved < 3e-4 {
		t.Fatalf("the outputs move by %g alone", moved)
	}
	bundletest.Write(t, path, tensors, file)
	bundletest.Edit(t, path, func(manifest map[string]any) {
		manifest["tolerance"].(map[string]any)["preprocess"] = 1e-3
	})
	_, err = predict.Load(t.Context(), path, onnx.Engine())
	var refused *predict.ParityError
	if !errors.As(err, &refused) || refused.Stage != predict.StageLabel || refused.Case != "005" || !strings.Contains(err.Error(), "from the raw input") {
		t.Errorf("loaded with %v", err)
	}
}
