package onnx_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/internal/corpus"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
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
	predicttest.Run(t, onnx.Engine(), predicttest.Graphs{
		Open: func(t *testing.T, name string) predict.Graph { return read(t, name) },
		Types: []tensor.DType{
			tensor.Bool, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64, tensor.Uint8, tensor.Uint16,
			tensor.Uint32, tensor.Uint64, tensor.Float16, tensor.BFloat16, tensor.Float32, tensor.Float64, tensor.String,
		},
		Interruptible: true,
	})
}

func TestOpenRefusesExternalData(t *testing.T) {
	_, err := onnx.Engine().Open(t.Context(), read(t, "external-data"), predict.SessionOptions{})
	if err == nil || !strings.Contains(err.Error(), "../secret.bin") {
		t.Errorf("got %v, want a refusal that names ../secret.bin", err)
	}
}

// What a run gives is what the graph says, whatever the types and shapes of its ends.
func TestEndsOfEveryKind(t *testing.T) {
	half := func(shape []int64, data ...float64) tensor.Tensor {
		halves := []tensor.Float16Bits{}
		for _, x := range data {
			halves = append(halves, tensor.ToFloat16(x))
		}
		return tensor.Tensor{Shape: shape, Data: halves}
	}
	scalar := []int64{}
	which := func(w ...bool) tensor.Tensor { return tensor.Tensor{Shape: []int64{int64(len(w))}, Data: w} }
	ramp := tensor.Tensor{Shape: []int64{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}}
	for _, c := range []struct {
		graph      string
		give, want predict.Tensors
	}{
		{"no-inputs", predict.Tensors{}, predict.Tensors{"y": {Shape: []int64{3}, Data: []float32{1, 2, 3}}}},
		{"sum", predict.Tensors{"x": ramp}, predict.Tensors{"y": {Shape: scalar, Data: []float32{21}}}},
		{"sum-any", predict.Tensors{"x": ramp}, predict.Tensors{"y": {Shape: scalar, Data: []float32{21}}}},
		{"scalar-string", predict.Tensors{"x": {Shape: scalar, Data: []string{"käse"}}}, predict.Tensors{"y": {Shape: scalar, Data: []string{"käse"}}}},
		{"scalar-string", predict.Tensors{"x": {Shape: scalar, Data: []string{""}}}, predict.Tensors{"y": {Shape: scalar, Data: []string{""}}}},
		{"scalar-half", predict.Tensors{"x": half(scalar, 0.1)}, predict.Tensors{"y": half(scalar, 2*tensor.ToFloat16(0.1).Float64())}},
		{"through-half", predict.Tensors{"x": half([]int64{2}, 1, -2)}, predict.Tensors{"x": half([]int64{2}, 1, -2), "y": half([]int64{2}, -1, 2)}},
		{
			"through-scalar",
			predict.Tensors{"x": {Shape: scalar, Data: []float32{3}}},
			predict.Tensors{"x": {Shape: scalar, Data: []float32{3}}, "y": {Shape: scalar, Data: []float32{-3}}},
		},
		{
			"same-string",
			predict.Tensors{"x": {Shape: []int64{2, 2}, Data: []string{"a", "b\x00c", "\x00", "\xff\xfe"}}},
			predict.Tensors{"y": {Shape: []int64{2, 2}, Data: []string{"a", "b\x00c", "\x00", "\xff\xfe"}}},
		},
		{"same-float16", predict.Tensors{"x": half([]int64{0, 2})}, predict.Tensors{"y": half([]int64{0, 2})}},
		{"same-float32", predict.Tensors{"x": {Shape: []int64{0, 2}, Data: []float32{}}}, predict.Tensors{"y": {Shape: []int64{0, 2}, Data: []float32{}}}},
		{"same-string", predict.Tensors{"x": {Shape: []int64{0, 2}, Data: []string{}}}, predict.Tensors{"y": {Shape: []int64{0, 2}, Data: []string{}}}},
		{
			"chosen-half",
			predict.Tensors{"x": half([]int64{3, 2}, 1, 2, 3, 4, 5, 6), "which": which(true, false, true)},
			predict.Tensors{"y": half([]int64{2, 2}, 1, 2, 5, 6)},
		},
		{
			"chosen-half",
			predict.Tensors{"x": half([]int64{3, 2}, 1, 2, 3, 4, 5, 6), "which": which(false, false, false)},
			predict.Tensors{"y": half([]int64{0, 2})},
		},
	} {
		var names []string
		for name := range c.want {
			names = append(names, name)
		}
		got := run(t, c.graph, c.give, names...)
		for name, want := range c.want {
			if !slices.Equal(got[name].Shape, want.Shape) || !reflect.DeepEqual(got[name].Data, want.Data) {
				t.Errorf("%s: %s is %v, want %v", c.graph, name, got[name], want)
			}
		}
	}
}

// What is no tensor cannot be given or taken, which opening says, with the way out.
func TestEndsThatAreNoTensors(t *testing.T) {
	for graph, want := range map[string][]string{
		"sequence": {`input "x"`, "sequence", "not a tensor"},
		"optional": {`input "x"`, "optional", "not a tensor"},
		"zipmap":   {`output "probabilities"`, "ZipMap", "zipmap", "False", `label`},
	} {
		_, err := onnx.Engine().Open(t.Context(), read(t, graph), predict.SessionOptions{})
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v; want %q", graph, err, part)
			}
		}
	}
	m, err := onnx.Open(t.Context(), filepath.Join(graphs, "zipmap.onnx"), onnx.Output("label"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := m.Run(t.Context(), predict.Tensors{"x": {Shape: []int64{1, 2}, Data: []float32{0.2, 0.8}}})
	if err != nil || !reflect.DeepEqual(out["label"].Data, []int64{1}) {
		t.Errorf("%v, %v", out, err)
	}
}

func TestAnOutputThatIsAnInput(t *testing.T) {
	x := tensor.Tensor{Shape: []int64{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}}
	out := run(t, "through", predict.Tensors{"x": x}, "x", "y")
	if !reflect.DeepEqual(out["x"], x) || out["y"].Data.([]float32)[5] != -6 {
		t.Errorf("got %v", out)
	}
}

// The shape of an output is the graph's to say, whatever its ends let expect.
func TestAnOutputWithRowsOfItsOwn(t *testing.T) {
	x := tensor.Tensor{Shape: []int64{3, 3}, Data: []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}}
	for _, c := range []struct {
		which []bool
		want  []float32
	}{
		{[]bool{true, true, true}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{[]bool{false, true, false}, []float32{4, 5, 6}},
		{[]bool{false, false, false}, []float32{}},
	} {
		out := run(t, "chosen", predict.Tensors{"x": x, "which": {Shape: []int64{3}, Data: c.which}}, "y")
		want := tensor.Tensor{Shape: []int64{int64(len(c.want) / 3), 3}, Data: c.want}
		if !reflect.DeepEqual(out["y"], want) {
			t.Errorf("%v: got %v, want %v", c.which, out, want)
		}
	}
}

// run asks a graph twice: what the first run finds out about it must not change the second.
func run(t *testing.T, name string, inputs predict.Tensors, outputs ...string) predict.Tensors {
	t.Helper()
	s, err := onnx.Engine().Open(t.Context(), read(t, name), predict.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, err := s.Run(t.Context(), inputs, outputs)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Run(t.Context(), inputs, outputs)
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("then %v, %v; first %v", second, err, first)
	}
	return second
}

func TestInspect(t *testing.T) {
	info, err := onnx.Inspect(read(t, "two").Data)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Inputs) != 2 || info.Inputs[1].Name != "b" || info.Inputs[1].Shape[0] != -1 || info.Inputs[1].DType != tensor.Float32 {
		t.Errorf("inputs %+v", info.Inputs)
	}
	if info.Ops["Add"] != 1 || info.Ops["Sub"] != 1 || info.Opsets["ai.onnx"] != 18 {
		t.Errorf("operations %v, opsets %v", info.Ops, info.Opsets)
	}
	slow, err := onnx.Inspect(read(t, "slow").Data)
	if err != nil || slow.Ops["Sqrt"] != 1 {
		t.Errorf("operations of a loop's body: %v, %v", slow.Ops, err)
	}
}

func TestInspectRefusesEndlessNesting(t *testing.T) {
	graph := []byte{}
	for len(graph) < 1<<14 { // a graph in an attribute of a node of a graph
		for _, field := range []protowire.Number{6, 5, 1} {
			graph = append(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.BytesType), uint64(len(graph))), graph...)
		}
	}
	model := protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), graph)
	if _, err := onnx.Inspect(model); err == nil || !strings.Contains(err.Error(), "nested too deeply") {
		t.Errorf("got %v", err)
	}
}

func FuzzInspect(f *testing.F) {
	corpus.Add(f)
	for _, name := range []string{"affine", "slow", "external-data"} {
		data, err := os.ReadFile(filepath.Join(graphs, name+".onnx"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = onnx.Inspect(data) })
}
