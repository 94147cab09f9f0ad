package wire

// Tensors in gRPC messages.

import (
	"errors"
	"fmt"
	"unsafe"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// FromContents converts typed contents to a tensor, which shares their memory if the types agree.
//
//forgo:reader OIP gRPC typed
func FromContents(d tensor.DType, c *pb.InferTensorContents, shape []int64) (tensor.Tensor, error) {
	n, err := tensor.Count(shape)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if c == nil && n > 0 {
		return tensor.Tensor{}, errors.New("it has neither contents nor raw_input_contents")
	}
	lengths := []struct {
		field string
		n     int
	}{
		{"bool_contents", len(c.GetBoolContents())},
		{"int_contents", len(c.GetIntContents())},
		{"int64_contents", len(c.GetInt64Contents())},
		{"uint_contents", len(c.GetUintContents())},
		{"uint64_contents", len(c.GetUint64Contents())},
		{"fp32_contents", len(c.GetFp32Contents())},
		{"fp64_contents", len(c.GetFp64Contents())},
		{"bytes_contents", len(c.GetBytesContents())},
	}
	var field string
	var data any
	switch d {
	case tensor.Bool:
		field, data = "bool_contents", c.GetBoolContents()
	case tensor.Int8:
		field = "int_contents"
		data, err = Narrow[int8](c.GetIntContents())
	case tensor.Int16:
		field = "int_contents"
		data, err = Narrow[int16](c.GetIntContents())
	case tensor.Int32:
		field, data = "int_contents", c.GetIntContents()
	case tensor.Int64:
		field, data = "int64_contents", c.GetInt64Contents()
	case tensor.Uint8:
		field = "uint_contents"
		data, err = Narrow[uint8](c.GetUintContents())
	case tensor.Uint16:
		field = "uint_contents"
		data, err = Narrow[uint16](c.GetUintContents())
	case tensor.Uint32:
		field, data = "uint_contents", c.GetUintContents()
	case tensor.Uint64:
		field, data = "uint64_contents", c.GetUint64Contents()
	case tensor.Float32:
		field, data = "fp32_contents", c.GetFp32Contents()
	case tensor.Float64:
		field, data = "fp64_contents", c.GetFp64Contents()
	case tensor.String:
		field = "bytes_contents"
		values := make([]string, len(c.GetBytesContents()))
		for i, b := range c.GetBytesContents() {
			values[i] = unsafe.String(unsafe.SliceData(b), len(b)) // the message is not changed
		}
		data = values
	default:
		return tensor.Tensor{}, fmt.Errorf("%s is given in raw_input_contents only", Datatype(d))
	}
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("%s: %w", field, err)
	}
	for _, l := range lengths {
		if l.n > 0 && l.field != field {
			return tensor.Tensor{}, fmt.Errorf("%s is given in %s, not in %s", Datatype(d), field, l.field)
		}
		if l.field == field && int64(l.n) != n {
			return tensor.Tensor{}, fmt.Errorf("shape %v needs %d elements, %s has %d", shape, n, field, l.n)
		}
	}
	return tensor.Tensor{Shape: shape, Data: data}, nil
}

// Narrow converts numbers for which a message only has a wider type. It fails if one does not fit.
func Narrow[T int8 | int16 | int32 | uint8 | ~uint16, W int32 | uint32 | int64](wide []W) ([]T, error) {
	out := make([]T, len(wide))
	for i, x := range wide {
		if out[i] = T(x); W(out[i]) != x || out[i] < 0 != (x < 0) {
			return nil, fmt.Errorf("element %d: %d does not fit", i, x)
		}
	}
	return out, nil
}

// Contents returns a tensor's elements in the field for its datatype. It shares memory if the types agree.
// FP16 and BF16 have no such field.
func Contents(t tensor.Tensor) *pb.InferTensorContents {
	c := &pb.InferTensorContents{}
	switch data := t.Data.(type) {
	case []bool:
		c.BoolContents = data
	case []int8:
		c.IntContents = Widen[int32](data)
	case []int16:
		c.IntContents = Widen[int32](data)
	case []int32:
		c.IntContents = data
	case []int64:
		c.Int64Contents = data
	case []uint8:
		c.UintContents = Widen[uint32](data)
	case []uint16:
		c.UintContents = Widen[uint32](data)
	case []uint32:
		c.UintContents = data
	case []uint64:
		c.Uint64Contents = data
	case []float32:
		c.Fp32Contents = data
	case []float64:
		c.Fp64Contents = data
	case []string:
		for _, text := range data {
			c.BytesContents = append(c.BytesContents, []byte(text))
		}
	}
	return c
}

// Widen converts numbers to the type that a message has for them.
func Widen[W int32 | uint32, T int8 | int16 | uint8 | ~uint16](data []T) []W {
	out := make([]W, len(data))
	for i, x := range data {
		out[i] = W(x)
	}
	return out
}
