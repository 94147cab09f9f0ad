package onnx

// What the engine reports about itself.

import (
	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
)

func (e engine) Info() engines.Info {
	return engines.Info{
		Name: "onnxruntime", Flag: "onnx", Title: "ONNX Runtime", Format: onnxformat.Format,
		Environment: []string{EnvLibrary, "ORT_"},
	}
}

func (e engine) Check(g predict.Graph) error { return Check(g) }

func (e engine) Inspect(g predict.Graph) (engines.Inspection, error) {
	data := g.Data
	if data == nil {
		var err error
		if data, err = regular.Read(g.Path, MaxFile); err != nil {
			return engines.Inspection{}, err
		}
	}
	info, err := Inspect(data)
	if err != nil {
		return engines.Inspection{}, err
	}
	return engines.Inspection{
		Inputs: engines.TensorInfos(info.Inputs), Outputs: engines.TensorInfos(info.Outputs), Operations: info.Ops, Opsets: info.Opsets,
	}, nil
}
