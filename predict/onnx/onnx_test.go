package onnx_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/predicttest"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const graphs = "../../conformance/graphs"

func read(t *testing.T, name string) predict.Graph {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(graphs, name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return predict.Graph{Data: data, Path: name + ".onnx"}
}

func TestConformance(t *testing.T) {
	predicttest.Run(t, onnx.Engine(), predicttest.Graphs{
		Open: read,
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

func TestStringWithZeroByteIsRefused(t *testing.T) {
	s, err := onnx.Engine().Open(t.Context(), read(t, "same-string"), predict.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := tensor.Tensor{Shape: []int64{1, 2}, Data: []string{"a", "b\x00c"}}
	if out, err := s.Run(t.Context(), predict.Tensors{"x": x}, []string{"y"}); !errors.Is(err, predict.ErrInput) {
		t.Errorf("got %v, %v; want an ErrInput", out, err)
	}
}

// A scalar is an answer where the graph says that it gives one, and otherwise an error.
func TestScalarOutputs(t *testing.T) {
	x := predict.Tensors{"x": {Shape: []int64{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}}}
	for name, want := range map[string]string{"sum": "", "sum-any": "no dimensions"} {
		s, err := onnx.Engine().Open(t.Context(), read(t, name), predict.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 2 {
			out, err := s.Run(t.Context(), x, []string{"y"})
			if want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, %v; want %q", name, out, err, want)
				}
			} else if y := out["y"]; err != nil || len(y.Shape) != 0 || !reflect.DeepEqual(y.Data, []float32{21}) {
				t.Errorf("%s: %v, %v; want 21", name, out, err)
			}
		}
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
	for _, name := range []string{"affine", "slow", "external-data"} {
		data, err := os.ReadFile(filepath.Join(graphs, name+".onnx"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = onnx.Inspect(data) })
}
