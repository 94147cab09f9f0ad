// Package onnxformat holds what the engines for ONNX graphs share: the format, element types and output
// shapes.
package onnxformat

import (
	"slices"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// DTypes maps the numbers of TensorProto.DataType to element types.
var DTypes = map[uint64]tensor.DType{
	1: tensor.Float32, 2: tensor.Uint8, 3: tensor.Int8, 4: tensor.Uint16, 5: tensor.Int16,
	6: tensor.Int32, 7: tensor.Int64, 8: tensor.String, 9: tensor.Bool, 10: tensor.Float16,
	11: tensor.Float64, 12: tensor.Uint32, 13: tensor.Uint64, 16: tensor.BFloat16,
}

// OutputShape returns the shape of the named output, or nil if its rank is free. It takes free sizes from
// the given inputs whose dimensions have the same names. dims names the free dimensions of each input and
// output.
func OutputShape(name string, inputs, outputs []tensor.Spec, dims map[string][]string, got tensor.Map) []int64 {
	i := slices.IndexFunc(outputs, func(o tensor.Spec) bool { return o.Name == name })
	if i < 0 || outputs[i].Shape == nil {
		return nil
	}
	shape := slices.Clone(outputs[i].Shape)
	for i, called := range dims[name] {
		if shape[i] >= 0 || called == "" {
			continue
		}
		for _, in := range inputs {
			if j := slices.Index(dims[in.Name], called); j >= 0 && j < len(got[in.Name].Shape) {
				shape[i] = got[in.Name].Shape[j]
				break
			}
		}
	}
	return shape
}
