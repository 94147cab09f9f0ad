package onnxformat

import (
	"github.com/forgo-ml/forgo/predict/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Value is an input or output of a graph.
type Value struct {
	tensor.Spec
	// Dims has the names of the free dimensions, "" for others.
	Dims []string
	// Kind is Tensor, the name of another kind, or "" if the graph leaves it open.
	Kind string
}

// Tensor is the kind of dense tensors.
const Tensor = "tensor"

// kinds maps the fields of TypeProto to kinds.
var kinds = map[uint64]string{
	1: Tensor, 4: "sequence", 5: "map", 7: "opaque value", 8: "sparse tensor", 9: "optional value",
}

// ReadValue reads a ValueInfoProto.
func ReadValue(b []byte) (v Value, err error) {
	err = wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			v.Name = string(f.Bytes)
		case 2:
			return wire.Fields(f.Bytes, v.readType)
		}
		return nil
	})
	return v, err
}

// readType reads a field of a TypeProto.
func (v *Value) readType(f wire.Field) error {
	if kind, ok := kinds[uint64(f.Number)]; ok {
		v.Kind = kind
	}
	if f.Number != 1 {
		return nil
	}
	return wire.Fields(f.Bytes, func(f wire.Field) error {
		switch f.Number {
		case 1:
			v.DType = DTypes[f.Varint]
		case 2:
			v.Shape = []int64{} // a scalar's stays empty
			return wire.Fields(f.Bytes, v.readDimension)
		}
		return nil
	})
}

// readDimension reads a TensorShapeProto.Dimension. A size of 0 is free, as a missing one is.
func (v *Value) readDimension(f wire.Field) error {
	size, name := int64(-1), ""
	err := wire.Fields(f.Bytes, func(f wire.Field) error {
		switch {
		case f.Number == 1 && int64(f.Varint) > 0:
			size = int64(f.Varint)
		case f.Number == 2:
			name = string(f.Bytes)
		}
		return nil
	})
	v.Shape, v.Dims = append(v.Shape, size), append(v.Dims, name)
	return err
}
