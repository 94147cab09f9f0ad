// Package tensor holds dense, row-major tensors, the inputs and outputs of engines.
//
// A [Tensor] is a shape and a typed Go slice. Functions share slices rather than copy them, unless they
// say otherwise. Whoever makes a tensor owns its data. A callee that needs the data after the call copies
// it.
package tensor

import (
	"fmt"
	"slices"
	"sync"
)

// DType names an element type, as NumPy and the bundle manifest spell it.
type DType string

// Element types of a bundle.
const (
	Bool     DType = "bool"
	Int8     DType = "int8"
	Int16    DType = "int16"
	Int32    DType = "int32"
	Int64    DType = "int64"
	Uint8    DType = "uint8"
	Uint16   DType = "uint16"
	Uint32   DType = "uint32"
	Uint64   DType = "uint64"
	Float16  DType = "float16"
	BFloat16 DType = "bfloat16"
	Float32  DType = "float32"
	Float64  DType = "float64"
	String   DType = "string"
)

// Float16Bits is the bit pattern of an IEEE 754 binary16 number, a type that Go lacks.
type Float16Bits uint16

// BFloat16Bits is the bit pattern of a bfloat16 number: the upper half of a float32.
type BFloat16Bits uint16

// Element lists the Go types that tensor data may have.
type Element interface {
	bool | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | Float16Bits | BFloat16Bits | float32 | float64 | string
}

// Tensor is a dense array in row-major order.
type Tensor struct {
	// Shape has the size of each dimension, none negative. It is empty for a scalar.
	Shape []int64
	// Data is a slice of one of the [Element] types. Its length is the product of the sizes in Shape.
	Data any
}

// Map maps names to tensors: the inputs or outputs of one run.
type Map map[string]Tensor

var maps = sync.Pool{New: func() any { return make(Map) }}

// NewMap returns an empty map, which may be one that was recycled.
func NewMap() Map { return maps.Get().(Map) }

// Recycle empties a map for NewMap. Nobody may use the map afterwards; its tensors are untouched. A map
// that is never recycled is garbage like any other.
func (m Map) Recycle() {
	if m != nil && len(m) <= mostRecycled {
		clear(m)
		maps.Put(m)
	}
}

// mostRecycled bounds the size of maps that are kept, which never shrink.
const mostRecycled = 8

// New returns a tensor that shares data. It fails unless the product of the sizes in shape is len(data).
func New[T Element](data []T, shape ...int64) (Tensor, error) {
	n, err := Count(shape)
	if err != nil {
		return Tensor{}, err
	}
	if n != int64(len(data)) {
		return Tensor{}, fmt.Errorf("shape %v needs %d elements, got %d", shape, n, len(data))
	}
	return Tensor{Shape: shape, Data: data}, nil
}

// maxElements bounds a tensor so that its size in bytes fits int64.
const maxElements = 1 << 40

// Count returns the product of the sizes in shape. It fails for a negative size and above 2^40 elements.
func Count(shape []int64) (int64, error) {
	// The errors hold copies, so that callers' shapes can stay on their stacks.
	n := int64(1)
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative size", slices.Clone(shape))
		}
		if d != 0 && n > maxElements/d {
			return 0, fmt.Errorf("shape %v has more than 2^40 elements", slices.Clone(shape))
		}
		n *= d
	}
	return n, nil
}

// Values returns the tensor's data as a []T that shares memory. It fails if the data has another type.
func Values[T Element](t Tensor) ([]T, error) {
	v, ok := t.Data.([]T)
	if !ok {
		return nil, fmt.Errorf("tensor is %s, not %s", t.DType(), Tensor{Data: []T(nil)}.DType())
	}
	return v, nil
}

// DType returns the element type, or "" if Data is not a slice of an [Element] type.
func (t Tensor) DType() DType {
	switch t.Data.(type) {
	case []bool:
		return Bool
	case []int8:
		return Int8
	case []int16:
		return Int16
	case []int32:
		return Int32
	case []int64:
		return Int64
	case []uint8:
		return Uint8
	case []uint16:
		return Uint16
	case []uint32:
		return Uint32
	case []uint64:
		return Uint64
	case []Float16Bits:
		return Float16
	case []BFloat16Bits:
		return BFloat16
	case []float32:
		return Float32
	case []float64:
		return Float64
	case []string:
		return String
	}
	return ""
}

// Len returns the number of elements in Data.
func (t Tensor) Len() int {
	switch data := t.Data.(type) {
	case []bool:
		return len(data)
	case []int8:
		return len(data)
	case []int16:
		return len(data)
	case []int32:
		return len(data)
	case []int64:
		return len(data)
	case []uint8:
		return len(data)
	case []uint16:
		return len(data)
	case []uint32:
		return len(data)
	case []uint64:
		return len(data)
	case []Float16Bits:
		return len(data)
	case []BFloat16Bits:
		return len(data)
	case []float32:
		return len(data)
	case []float64:
		return len(data)
	case []string:
		return len(data)
	}
	return 0
}

// Size returns the memory of the elements in bytes.
func (t Tensor) Size() int64 {
	if values, ok := t.Data.([]string); ok {
		n := int64(0)
		for _, text := range values {
			n += int64(len(text)) + 16
		}
		return n
	}
	return int64(t.Len()) * int64(t.DType().ElementSize())
}

// Check returns an error unless the tensor's type is known and its data fits its shape.
func (t Tensor) Check() error {
	if t.DType() == "" {
		return fmt.Errorf("tensor data is a %T, which no engine takes", t.Data)
	}
	n, err := Count(t.Shape)
	if err != nil {
		return err
	}
	if n != int64(t.Len()) {
		return fmt.Errorf("shape %v needs %d elements, got %d", t.Shape, n, t.Len())
	}
	return nil
}

// Rows returns the size of the first dimension, the batch, or 0 for a scalar.
func (t Tensor) Rows() int {
	if len(t.Shape) == 0 {
		return 0
	}
	return int(t.Shape[0])
}

// Batch returns the tensor with a leading dimension of 1. It shares the data.
func (t Tensor) Batch() Tensor {
	return Tensor{Shape: append([]int64{1}, t.Shape...), Data: t.Data}
}
