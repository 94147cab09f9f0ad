// Package wire holds what servers and clients of the Open Inference Protocol share: names of element
// types, and tensors in JSON and in gRPC messages.
package wire

import (
	"fmt"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// HeaderLength is the HTTP header that gives the length of a body's JSON, in bytes. Binary data follows.
const HeaderLength = "Inference-Header-Content-Length"

var datatypes = map[tensor.DType]string{
	tensor.Bool: "BOOL", tensor.String: "BYTES",
	tensor.Int8: "INT8", tensor.Int16: "INT16", tensor.Int32: "INT32", tensor.Int64: "INT64",
	tensor.Uint8: "UINT8", tensor.Uint16: "UINT16", tensor.Uint32: "UINT32", tensor.Uint64: "UINT64",
	tensor.Float16: "FP16", tensor.BFloat16: "BF16", tensor.Float32: "FP32", tensor.Float64: "FP64",
}

var dtypes = func() map[string]tensor.DType {
	m := map[string]tensor.DType{}
	for d, name := range datatypes {
		m[name] = d
	}
	return m
}()

// Datatype returns the protocol's name for an element type.
func Datatype(d tensor.DType) string {
	if d == tensor.Float32 { // as nearly always
		return "FP32"
	}
	return datatypes[d]
}

// DType returns the element type for the protocol's name.
func DType(datatype string) (tensor.DType, error) {
	if datatype == "FP32" {
		return tensor.Float32, nil
	}
	d, ok := dtypes[datatype]
	if !ok {
		return "", fmt.Errorf("unknown datatype %s", tensor.Quote(datatype))
	}
	return d, nil
}
