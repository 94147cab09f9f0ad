package pure

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/predicttest"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const graphs = "../../conformance/graphs"

func read(t testing.TB, name string) predict.Graph {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(graphs, name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return predict.Graph{Data: data, Path: name + ".onnx"}
}

func TestConformance(t *testing.T) {
	predicttest.Run(t, Engine(), predicttest.Graphs{
		Open: func(t *testing.T, name string) predict.Graph { return read(t, name) },
		Types: []tensor.DType{
			tensor.Bool, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64, tensor.Uint8, tensor.Uint16,
			tensor.Uint32, tensor.Uint64, tensor.Float16, tensor.BFloat16, tensor.Float32, tensor.Float64, tensor.String,
		},
	})
}

func TestRefusals(t *testing.T) {
	for graph, want := range map[string]string{
		"external-data": "data outside of the file",
		"zipmap":        "is not a tensor",
		"sequence":      "is not a tensor",
		"optional":      "is not a tensor",
	} {
		_, err := Engine().Open(t.Context(), read(t, graph), predict.SessionOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a refusal with %q", graph, err, want)
		}
	}
}

// A model of another's making neither panics nor takes more memory than a run may.
func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(graphs, "*.onnx"))
	if err != nil || len(files) == 0 {
		f.Fatal(err, "no graphs")
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 1<<12 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, model []byte) {
		s, err := Engine().Open(t.Context(), predict.Graph{Data: model, Path: "fuzzed.onnx"}, predict.SessionOptions{})
		if errors.As(err, new(errPanic)) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		inputs, outputs := predict.Tensors{}, []string{}
		for _, in := range s.Inputs() {
			shape := make([]int64, len(in.Shape))
			for i, d := range in.Shape {
				shape[i] = max(1, min(d, 3))
				if d > 3 {
					return
				}
			}
			n, err := tensor.Count(shape)
			if err != nil || in.DType == tensor.String || n > 1<<12 {
				return
			}
			x, err := tensor.FromBytes(in.DType, make([]byte, n*int64(in.DType.ElementSize())), shape...)
			if err != nil {
				t.Fatal(err)
			}
			inputs[in.Name] = x
		}
		for _, out := range s.Outputs() {
			outputs = append(outputs, out.Name)
		}
		// A loop may be all but endless.
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := s.Run(ctx, inputs, outputs); errors.As(err, new(errPanic)) {
			t.Fatal(err)
		}
	})
}

// network is 64-32-32-10 with softmax, as the digits bundle has.
func network(t testing.TB) engines.Session {
	t.Helper()
	s, err := Engine().Open(t.Context(), predict.Graph{Path: filepath.Join(graphs, "network.onnx")}, predict.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAllocations(t *testing.T) {
	s, x := network(t), predict.Tensors{"x": {Shape: []int64{1, 64}, Data: make([]float32, 64)}}
	outputs := []string{"y"}
	run := func() {
		if _, err := s.Run(t.Context(), x, outputs); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if racetest.Enabled {
		t.Skip("the race detector allocates too")
	}
	// The map of the answer, its shape, its elements and their slice.
	if n := testing.AllocsPerRun(200, run); n > 5 {
		t.Errorf("a run allocates %v times", n)
	}
}

// Scale, bias and activation are part of the product before them, unless something else reads what is between.
func TestFusing(t *testing.T) {
	var steps []string
	for _, s := range network(t).(*session).plan.steps {
		steps = append(steps, s.what)
	}
	if want := []string{"Gemm", "MatMul", "MatMul", "Softmax"}; !slices.Equal(steps, want) {
		t.Errorf("the network runs %v, want %v", steps, want)
	}
}

// An empty matrix may have any number of columns, and a constant any number of dimensions.
func TestFusingIsBounded(t *testing.T) {
	constant := func(data []float32, shape ...int64) *value { return &value{data: &data, shape: shape} }
	for name, c := range map[string]struct{ weights, bias *value }{
		"columns":    {constant(nil, 0, 1<<40), constant([]float32{1}, 1)},
		"dimensions": {constant([]float32{2}, 1, 1), constant([]float32{1}, slices.Repeat([]int64{1}, 1000)...)},
		"no bias":    {constant([]float32{2}, 1, 1), constant(nil, 0)},
	} {
		p, err := planGraph(t.Context(), &graph{
			opsets: map[string]int{"": 18}, constants: map[string]*value{"w": c.weights, "b": c.bias},
			inputs:  []onnxformat.Value{{Spec: tensor.Spec{Name: "x"}}},
			outputs: []onnxformat.Value{{Spec: tensor.Spec{Name: "y"}}},
			nodes: []*node{
				{op: "MatMul", in: []string{"x", "w"}, out: []string{"z"}, attributes: map[string]attribute{}},
				{op: "Add", in: []string{"z", "b"}, out: []string{"y"}, attributes: map[string]attribute{}},
			},
		}, nil)
		if err != nil || len(p.steps) != 2 {
			t.Errorf("%s: %v, %d steps", name, err, len(p.steps))
		}
	}
}

func BenchmarkNetwork(b *testing.B) {
	row := make([]float32, 64)
	for i := range row {
		row[i] = float32(i*37%17) / 16
	}
	s, x := network(b), predict.Tensors{"x": {Shape: []int64{1, 64}, Data: row}}
	outputs := []string{"y"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Run(b.Context(), x, outputs); err != nil {
			b.Fatal(err)
		}
	}
}

// An output that may take over its input's memory must not where the input is repeated, however much room
// a larger run has left there.
func TestRepeatedInPlace(t *testing.T) {
	spec := func(name string) onnxformat.Value {
		return onnxformat.Value{Spec: tensor.Spec{Name: name, DType: tensor.Float32, Shape: []int64{-1, -1}}}
	}
	p, err := planGraph(t.Context(), &graph{
		opsets: map[string]int{"": 18}, constants: map[string]*value{}, inputs: []onnxformat.Value{spec("a"), spec("b")}, outputs: []onnxformat.Value{spec("y")},
		nodes: []*node{
			{op: "Neg", in: []string{"a"}, out: []string{"n"}, attributes: map[string]attribute{}},
			{op: "Add", in: []string{"n", "b"}, out: []string{"s"}, attributes: map[string]attribute{}},
			{op: "Neg", in: []string{"s"}, out: []string{"y"}, attributes: map[string]attribute{}},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{plan: p, inputs: []tensor.Spec{spec("a").Spec, spec("b").Spec}, outputs: []tensor.Spec{spec("y").Spec}}
	for _, n := range []int64{9, 3, 2, 9, 1, 4} {
		in := predict.Tensors{"a": {Shape: []int64{n, 1}, Data: make([]float32, n)}, "b": {Shape: []int64{1, n}, Data: make([]float32, n)}}
		for i := range n {
			in["a"].Data.([]float32)[i], in["b"].Data.([]float32)[i] = float32(10*i), float32(i)
		}
		out, err := s.Run(t.Context(), in, []string{"y"})
		if err != nil {
			t.Fatal(err)
		}
		for i, y := range out["y"].Data.([]float32) {
			if want := float32(10*(int64(i)/n) - int64(i)%n); y != want {
				t.Fatalf("%d x %d: element %d is %v, want %v", n, n, i, y, want)
			}
		}
	}
}
