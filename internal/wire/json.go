package wire

// Tensors in JSON.

import (
	"fmt"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Elements reads the JSON of data, either flat or nested as shape says.
func Elements(r *payload.Reader, d tensor.DType, shape []int64) (tensor.Tensor, error) {
	n, err := tensor.Count(shape)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if d == tensor.Float16 || d == tensor.BFloat16 {
		return tensor.Tensor{}, fmt.Errorf("JSON cannot carry %s; send it as binary data", Datatype(d))
	}
	t, err := r.Tensor(d, n)
	if err != nil {
		if len(shape) == 1 {
			err = payload.OfRow(err)
		}
		return tensor.Tensor{}, err
	}
	if got := int64(t.Len()); got != n {
		return tensor.Tensor{}, fmt.Errorf("shape %v needs %d elements, got %d", shape, n, got)
	}
	if len(t.Shape) > 1 && !equal(t.Shape, shape) {
		return tensor.Tensor{}, fmt.Errorf("the lists are nested as %v, the shape is %v", t.Shape, shape)
	}
	t.Shape = shape
	return t, nil
}

// equal compares shapes. Nested lists cannot show the sizes after one of 0.
func equal(nested, shape []int64) bool {
	for i, d := range nested {
		if i >= len(shape) || shape[i] != d {
			return false
		}
		if d == 0 {
			return true
		}
	}
	return len(nested) == len(shape)
}
