//go:build linux

package isolated

// Bundles with several signatures, whose graph runs in a process of its own.

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// All signatures answer, each with its own inputs and outputs, before and after their process is killed.
func TestSignaturesApart(t *testing.T) {
	path := filepath.Join(conformance, "bundles", "half_plus_two.forgo")
	engine := &spy{Engine: Engine(tensorflow.Engine(), Options{Available: true})}
	m := load(t, path, predict.Options{}, engine)
	if p := m.Parity(); p.Signatures != 5 || p.Cases != 60 || p.Of != 60 {
		t.Errorf("%s", p)
	}
	x := predict.Tensor{Shape: []int64{3, 1}, Data: []float32{1, 2, 5}}
	asked := map[string]struct {
		input, output string
		values        []float32
	}{
		"serving_default":   {"x", "y", []float32{2.5, 3, 4.5}},
		"regress_x2_to_y3":  {"inputs", "outputs", []float32{3.5, 4, 5.5}},
		"classify_x2_to_y3": {"inputs", "scores", []float32{3.5, 4, 5.5}},
	}
	answers := func() {
		t.Helper()
		for _, name := range slices.Sorted(maps.Keys(asked)) {
			s, ok := m.Signature(name)
			if !ok {
				t.Fatalf("no signature %q", name)
			}
			want := asked[name]
			out, err := s.Run(t.Context(), predict.Tensors{want.input: x})
			if err != nil || len(out) != 1 || !slices.Equal(out[want.output].Data.([]float32), want.values) {
				t.Errorf("%q: %v, %v", name, out, err)
			}
		}
	}
	answers()
	if err := syscall.Kill(engine.last().cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the engine is back", func() bool { return serving.Of(m).Engine().Restarts == 1 })
	answers()
	if n := len(engine.sessions); n != 2 {
		t.Errorf("%d processes were started, one for all signatures each time", n)
	}
	other, _ := m.Signature("regress_x2_to_y3")
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := other.Run(t.Context(), predict.Tensors{"inputs": x}); !errors.Is(err, predict.ErrClosed) {
		t.Errorf("closed with the model: %v", err)
	}
}

// An engine that opens one signature alone says so.
func TestSignaturesNeedAnEngineThatHasThem(t *testing.T) {
	g := predict.Graph{Data: []byte{}, Signatures: []engines.GraphSignature{{Name: "other"}}}
	if _, err := Engine(fake{name: "slow"}, Options{Available: true}).Open(t.Context(), g, predict.SessionOptions{}); err == nil ||
		err.Error() != "the engine slow opens one signature of a graph, not 2" {
		t.Errorf("%v", err)
	}
}
