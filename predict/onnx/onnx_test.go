package onnx_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
