package onnxformat

import "github.com/forgo-ml/forgo/predict/engines"

// Format is the format of ONNX graphs.
var Format = engines.Format{
	Name: "onnxruntime", Kind: "onnx", Noun: "an ONNX file", Files: []string{".onnx"},
	Platform: "onnx_onnxv1", TritonPlatform: "onnxruntime_onnx", TritonBackend: "onnxruntime",
}
