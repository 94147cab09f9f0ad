//go:build linux

package isolated

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/predicttest"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// named is an engine under another name.
type named struct {
	predict.Engine
	name string
}

func (n named) Info() engines.Info {
	info := n.Engine.Info()
	info.Name = n.name
	return info
}

// unchecked is TensorFlow without forgo's check of operations, so that the sandbox alone holds a model.
const unchecked = "tensorflow-unchecked"

func TestMain(m *testing.M) {
	Main(append(fakes(), onnx.Engine(), tensorflow.Engine(), named{tensorflow.Engine(tensorflow.AllowFiles()), unchecked})...)
	os.Exit(m.Run())
}

const conformance = "../../conformance"

func graph(t testing.TB, name string) predict.Graph {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(conformance, "graphs", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return predict.Graph{Data: data, Path: name + ".onnx"}
}

var types = []tensor.DType{
	tensor.Bool, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64, tensor.Uint8, tensor.Uint16,
	tensor.Uint32, tensor.Uint64, tensor.Float16, tensor.BFloat16, tensor.Float32, tensor.Float64, tensor.String,
}

func TestConformanceONNX(t *testing.T) {
	predicttest.Run(t, Engine(onnx.Engine(), Options{}), predicttest.Graphs{
		Open:  func(t *testing.T, name string) predict.Graph { return graph(t, name) },
		Types: types, Interruptible: true,
	})
}

func TestConformanceTensorFlow(t *testing.T) {
	predicttest.Run(t, Engine(tensorflow.Engine(), Options{}), predicttest.Graphs{
		Open: func(_ *testing.T, name string) predict.Graph {
			return predict.Graph{Path: filepath.Join(conformance, "savedmodels", name)}
		},
		Types: types, Interruptible: true,
	})
}

func open(t testing.TB, engine predict.Engine, g predict.Graph, o predict.SessionOptions) engines.Session {
	t.Helper()
	s, err := engine.Open(t.Context(), g, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// An engine that Main was not given, and a graph that is none, are refused with what the child says.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	if _, err := Engine(named{onnx.Engine(), "abacus"}, Options{}).Library(); err == nil {
		t.Error("an engine was found that Main was not called with")
	}
	_, err := Engine(onnx.Engine(), Options{}).Open(t.Context(), graph(t, "external-data"), predict.SessionOptions{})
	if err == nil || errors.Is(err, predict.ErrUnavailable) {
		t.Errorf("got %v, want the engine's refusal", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Engine(onnx.Engine(), Options{}).Open(ctx, graph(t, "affine"), predict.SessionOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
