package pure

// Graphs that attack the process that opens them.

import (
	"bytes"
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// hostile makes a session of nodes that begin with x [n, 1] and end with y, and constants.
func hostile(t *testing.T, constants map[string]any, nodes ...*node) (*session, error) {
	t.Helper()
	g := &graph{
		opsets: map[string]int{"": 17, "ai.onnx.ml": 3}, constants: map[string]*value{}, nodes: nodes,
		inputs: []onnxformat.Value{{Spec: tensor.Spec{Name: "x", DType: tensor.Float32, Shape: []int64{-1, 1}}}}, outputs: []onnxformat.Value{{Spec: tensor.Spec{Name: "y", DType: tensor.Float32}}},
	}
	for name, data := range constants {
		c := tensor.Tensor{Data: data}
		switch data := data.(type) {
		case []int64:
			c.Shape = []int64{int64(len(data))}
		case []float32:
			c.Shape = []int64{1, 1, int64(len(data))}
		}
		var err error
		if g.constants[name], err = constant(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		if n.attributes == nil {
			n.attributes = map[string]attribute{}
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	p, err := planGraph(ctx, g, nil)
	if err != nil {
		return nil, err
	}
	return &session{plan: p, inputs: []tensor.Spec{g.inputs[0].Spec}, outputs: []tensor.Spec{g.outputs[0].Spec}}, nil
}

func ints(i ...int64) attribute { return attribute{ints: i} }

var one1 = predict.Tensors{"x": {Shape: []int64{1, 1}, Data: []float32{1}}}

// None of these ends the process, or takes more memory than a run may.
func TestHostileShapes(t *testing.T) {
	const most = math.MaxInt64
	for name, c := range map[string]struct {
		constants map[string]any
		nodes     []*node
		want      string // of the error; "" for none
	}{
		"a window that lies outside of its line": {
			map[string]any{"w": []float32{1, 1, 1}, "s": []int64{1, 1, 1}},
			[]*node{
				{op: "Reshape", in: []string{"x", "s"}, out: []string{"r"}},
				{op: "Conv", in: []string{"r", "w"}, out: []string{"y"}, attributes: map[string]attribute{"kernel_shape": ints(3), "pads": ints(5, 0)}},
			},
			"",
		},
		"sizes that overflow together": {
			map[string]any{"v": []int64{1, 2, 3, 4}, "n": []int64{1, most, 3}},
			[]*node{
				{op: "Split", in: []string{"v", "n"}, out: []string{"a", "", "b"}},
				{op: "Cast", in: []string{"b"}, out: []string{"y"}, attributes: map[string]attribute{"to": {i: 1}}},
			},
			"do not add up",
		},
		"pads of gigabytes from the edge": {
			map[string]any{"p": []int64{0, math.MaxInt32, 0, 0}},
			[]*node{{op: "Pad", in: []string{"x", "p"}, out: []string{"y"}, attributes: map[string]attribute{"mode": {s: "edge"}}}},
			"needs more than",
		},
		"dimensions that are many and empty": {
			map[string]any{"s": []int64{1 << 20, 1 << 20, 1, 0}, "i": []int64{0}},
			[]*node{
				{op: "ConstantOfShape", in: []string{"s"}, out: []string{"v"}},
				{op: "Gather", in: []string{"v", "i"}, out: []string{"y"}, attributes: map[string]attribute{"axis": {i: 2}}},
			},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := hostile(t, c.constants, c.nodes...)
			if err == nil {
				_, err = s.Run(t.Context(), one1, []string{"y"})
			}
			if errors.As(err, new(errPanic)) || c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Kernels that take long by themselves are given up too.
func TestLongKernelsAreGivenUp(t *testing.T) {
	big := []*node{
		{op: "Expand", in: []string{"x", "e"}, out: []string{"b"}},
		{op: "MatMul", in: []string{"b", "b"}, out: []string{"y"}},
	}
	side, pad := int64(1<<20), int64(1<<20-1)
	pool := []*node{
		{op: "Reshape", in: []string{"x", "s"}, out: []string{"r"}},
		{op: "MaxPool", in: []string{"r"}, out: []string{"y"}, attributes: map[string]attribute{"kernel_shape": ints(side, side), "pads": ints(pad, pad, pad, pad), "strides": ints(1<<8, 1<<8)}},
	}
	svm := []*node{
		{op: "Expand", in: []string{"x", "e"}, out: []string{"b"}},
		{domain: "ai.onnx.ml", op: "SVMRegressor", in: []string{"b"}, out: []string{"y"}, attributes: map[string]attribute{
			"n_supports": {i: 1 << 16}, "support_vectors": {floats: make([]float32, 1<<20)}, "coefficients": {floats: make([]float32, 1<<16)}, "rho": {floats: []float32{0}},
		}},
	}
	for name, c := range map[string]struct {
		e     []int64
		nodes []*node
	}{
		"a product of large matrices":  {[]int64{8000, 8000}, big},
		"a window of a square of 2^40": {[]int64{1, 1}, pool},
		"rows beside support vectors":  {[]int64{1 << 18, 16}, svm},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := hostile(t, map[string]any{"e": c.e, "s": []int64{1, 1, 1, 1}}, c.nodes...)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer stop()
			start := time.Now()
			_, err = s.Run(ctx, one1, []string{"y"})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// Two stretches of one tree do not lead into each other for ever.
func TestTreesThatAreCircles(t *testing.T) {
	text := func(s ...string) attribute { return attribute{strings: s} }
	floats := func(f ...float32) attribute { return attribute{floats: f} }
	_, err := hostile(t, nil, &node{
		domain: "ai.onnx.ml", op: "TreeEnsembleRegressor", in: []string{"x"}, out: []string{"y"}, attributes: map[string]attribute{
			"nodes_treeids": ints(0, 0, 1, 0, 0), "nodes_nodeids": ints(0, 1, 0, 5, 6), "nodes_featureids": ints(0, 0, 0, 0, 0),
			"nodes_modes": text("BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF"), "nodes_values": floats(1, 0, 0, 1, 0),
			"nodes_truenodeids": ints(5, 0, 0, 0, 0), "nodes_falsenodeids": ints(1, 0, 0, 6, 0),
			"target_treeids": ints(0), "target_nodeids": ints(1), "target_ids": ints(0), "target_weights": floats(1),
		},
	})
	if err == nil || !strings.Contains(err.Error(), "comes back to node") {
		t.Errorf("got %v", err)
	}
}

// A file of a few megabytes with millions of parts is refused before they are memory.
func TestFilesOfManyParts(t *testing.T) {
	field := func(n protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
	}
	const n = 2 << 20
	many := func(f protowire.Number) []byte { return bytes.Repeat(field(f, nil), n) }
	numbers := append(append(field(1, protowire.AppendVarint(nil, n)), 0x10, byte(3)), field(5, bytes.Repeat([]byte{1}, n))...)
	for name, c := range map[string]struct {
		graph []byte
		want  string
		most  uint64 // bytes
	}{
		"nodes":      {many(1), "more than 65536 nodes", 64 << 20},
		"attributes": {field(1, many(5)), "more than 1048576 attributes", 64 << 20},
		"numbers":    {field(5, numbers), "no outputs", 48 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Engine().Open(t.Context(), predict.Graph{Data: field(7, c.graph), Path: "many.onnx"}, predict.SessionOptions{})
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > c.most {
				t.Errorf("it took %d MB", took>>20)
			}
		})
	}
}

// The weights of a Resize count, too.
func TestWeightsOfAnAxisAreMemory(t *testing.T) {
	r := &resizing{mode: "cubic", coordinates: "half_pixel", a: -0.75}
	if _, err := r.taps(&memory{left: 1 << 20}, 4, 1<<16, 1<<14); !errors.Is(err, errMemory) {
		t.Errorf("got %v", err)
	}
}

// What is computed once of a weight that many nodes share takes no more than a run may.
func TestWeightsTurnedOften(t *testing.T) {
	if racetest.Enabled {
		t.Skip("one goroutine turns a gigabyte; the run without the race detector tests it")
	}
	g := &graph{
		opsets: map[string]int{"": 17}, constants: map[string]*value{}, outputs: []onnxformat.Value{{Spec: tensor.Spec{Name: "x", DType: tensor.Float32}}},
		inputs: []onnxformat.Value{{Spec: tensor.Spec{Name: "x", DType: tensor.Float32, Shape: []int64{-1, 4096}}}},
	}
	var err error
	if g.constants["w"], err = constant(tensor.Tensor{Shape: []int64{4096, 4096}, Data: make([]float32, 4096*4096)}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // 64 MB each
		g.nodes = append(g.nodes, &node{op: "Gemm", in: []string{"x", "w"}, out: []string{string(rune('a' + i))}, attributes: map[string]attribute{"transB": {i: 1}}})
	}
	if _, err := planGraph(t.Context(), g, nil); !errors.Is(err, errMemory) {
		t.Errorf("got %v", err)
	}
}

// A kernel's fault is the error of a run.
func TestPanicsAreErrors(t *testing.T) {
	s, err := hostile(t, nil, &node{op: "Neg", in: []string{"x"}, out: []string{"y"}})
	if err != nil {
		t.Fatal(err)
	}
	whole := s.plan.steps[0].kernel
	s.plan.steps[0].kernel = func(_, _ []*value) error { panic("planted") }
	if _, err := s.Run(t.Context(), one1, []string{"y"}); !errors.As(err, new(errPanic)) {
		t.Errorf("got %v", err)
	}
	s.plan.steps[0].kernel = whole
	if _, err := s.Run(t.Context(), one1, []string{"y"}); err != nil {
		t.Errorf("the run after it: %v", err)
	}
}
