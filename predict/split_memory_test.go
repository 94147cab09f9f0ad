package predict_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// What the engine takes for a run does not grow with the rows of a request.
func TestLongRequestsTakeNoMoreOfTheEngine(t *testing.T) {
	if racetest.Enabled {
		t.Skip("the race detector's own memory is counted too")
	}
	m := load(t, iris)
	const rows = 4 << 20
	in := predict.Tensors{"input": {Shape: []int64{rows, 4}, Data: make([]float32, 4*rows)}}
	for i := range in["input"].Data.([]float32) {
		in["input"].Data.([]float32)[i] = float32(i%97) / 10
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // garbage is not the engine's
	before := residentKiB(t)
	out, err := m.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	made := int((out["probabilities"].Size() + out["logits"].Size()) >> 10)
	if grown := residentKiB(t) - before; grown > made+40<<10 {
		t.Errorf("the answer of %d MiB took %d", made>>10, grown>>10)
	}
	one := predict.Tensors{"input": in["input"].Slice(rows-3, rows-2)}
	want, err := m.Run(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	for name, alone := range want {
		if d, err := tensor.Difference(out[name].Slice(rows-3, rows-2), alone); err != nil || d > 1e-6 {
			t.Errorf("%s: row %d differs by %v from its answer alone: %v", name, rows-3, d, err)
		}
	}
}
