package pure

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
)

// The graphs that prepare pictures answer as in ONNX Runtime: each way to resize, each way to fit, smaller
// and larger, tall and wide.
func TestPreprocessing(t *testing.T) {
	if _, err := onnx.Engine().Library(); err != nil {
		t.Skip(err)
	}
	files, err := filepath.Glob("../preprocess/*.onnx")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no graphs")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".onnx"), func(t *testing.T) {
			open := func(e predict.Engine) engines.Session {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				s, err := e.Open(t.Context(), predict.Graph{Data: data, Path: file}, predict.SessionOptions{Threads: 1})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			runtime, own := open(onnx.Engine()), open(Engine())
			for i, size := range [][4]int64{{7, 5, 3, 4}, {5, 9, 16, 11}, {61, 40, 20, 20}, {30, 71, 8, 24}, {1, 1, 3, 2}, {300, 17, 5, 9}} {
				for fit := range int64(4) {
					in := predict.Tensors{
						"image":          {Shape: []int64{size[0], size[1], 3}, Data: make([]uint8, size[0]*size[1]*3)},
						"size":           {Shape: []int64{2}, Data: size[2:]},
						"fit":            {Data: []int64{fit}},
						"shorter_side":   {Data: []int64{max(size[2], size[3]) + 2}},
						"pad_colour":     {Shape: []int64{3}, Data: []uint8{10, 20, 30}},
						"order":          {Shape: []int64{3}, Data: []int64{2, 0, 1}},
						"scale":          {Data: []float32{1 / float32(255)}},
						"mean":           {Shape: []int64{3}, Data: []float32{0.5, 0.4, 0.3}},
						"std":            {Shape: []int64{3}, Data: []float32{0.2, 0.3, 0.1}},
						"channels_first": {Data: []bool{i%2 == 0}},
					}
					for k := range in["image"].Data.([]uint8) {
						in["image"].Data.([]uint8)[k] = uint8(rng.Uint32())
					}
					want, err := runtime.Run(t.Context(), in, []string{"pixels"})
					if err != nil {
						t.Fatal(err)
					}
					got, err := own.Run(t.Context(), in, []string{"pixels"})
					if err == nil {
						err = differ(got["pixels"], want["pixels"], 1e-5, 1e-5)
					}
					if err != nil {
						t.Error(fmt.Errorf("%v, fit %d: %w", size, fit, err))
					}
				}
			}
		})
	}
}
