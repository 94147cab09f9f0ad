package tfserving

// Tensors in gRPC messages.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	pb "github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func protoType(d tensor.DType) pb.DataType { return pb.DataType(pb.DataType_value[typeNames[d]]) }

func dtypeOf(t pb.DataType) (tensor.DType, error) {
	for d, name := range typeNames {
		if name == t.String() {
			return d, nil
		}
	}
	return "", fmt.Errorf("no model takes %s", t)
}

func protoShape(shape []int64) *pb.TensorShapeProto {
	s := &pb.TensorShapeProto{}
	for _, size := range shape {
		s.Dim = append(s.Dim, &pb.TensorShapeProto_Dim{Size: size})
	}
	return s
}

// reader reads the tensors of one request.
type reader struct {
	elements  int            // that it may still have
	remaining int64          // bytes that may still be made beyond those that were sent
	memory    payload.Memory // asked before they are
}

// tensor reads a tensor, and shares its values if the types agree.
func (r *reader) tensor(p *pb.TensorProto) (tensor.Tensor, error) {
	d, err := dtypeOf(p.GetDtype())
	if err != nil {
		return tensor.Tensor{}, err
	}
	if p.GetTensorShape().GetUnknownRank() {
		return tensor.Tensor{}, errors.New("tensor_shape: its rank is unknown")
	}
	shape := make([]int64, len(p.GetTensorShape().GetDim()))
	for i, dim := range p.GetTensorShape().GetDim() {
		shape[i] = dim.GetSize()
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if n > int64(r.elements) {
		return tensor.Tensor{}, errors.New("the request has more elements than the limit")
	}
	r.elements -= int(n)
	own, err := onlyField(p, d)
	if err != nil {
		return tensor.Tensor{}, err
	}
	data, err := r.values(p, d, int(n))
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("shape %v: %s: %w", shape, own, err)
	}
	return tensor.Tensor{Shape: shape, Data: data}, nil
}

const content = "tensor_content"

// onlyField names the field that holds the values. It fails if other fields hold some too.
func onlyField(p *pb.TensorProto, d tensor.DType) (string, error) {
	own := fieldOf(d)
	if len(p.GetTensorContent()) > 0 {
		own = content
	}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"half_val", len(p.GetHalfVal())},
		{"float_val", len(p.GetFloatVal())},
		{"double_val", len(p.GetDoubleVal())},
		{"int_val", len(p.GetIntVal())},
		{"string_val", len(p.GetStringVal())},
		{"int64_val", len(p.GetInt64Val())},
		{"bool_val", len(p.GetBoolVal())},
		{"uint32_val", len(p.GetUint32Val())},
		{"uint64_val", len(p.GetUint64Val())},
	} {
		if f.n > 0 && f.name != own {
			return "", fmt.Errorf("%s belongs in %s or %s, but %s has values", typeNames[d], content, fieldOf(d), f.name)
		}
	}
	return own, nil
}

// fieldOf names the field for a type's values.
func fieldOf(d tensor.DType) string {
	switch d {
	case tensor.Float16, tensor.BFloat16:
		return "half_val"
	case tensor.Float32:
		return "float_val"
	case tensor.Float64:
		return "double_val"
	case tensor.String:
		return "string_val"
	case tensor.Int64:
		return "int64_val"
	case tensor.Bool:
		return "bool_val"
	case tensor.Uint32:
		return "uint32_val"
	case tensor.Uint64:
		return "uint64_val"
	}
	return "int_val"
}

// values returns n values as a slice.
//
//forgo:reader TensorFlow gRPC values
//forgo:reader TensorFlow gRPC content
func (r *reader) values(p *pb.TensorProto, d tensor.DType, n int) (any, error) {
	if raw := p.GetTensorContent(); len(raw) > 0 {
		if d == tensor.String {
			if err := r.memory.Grow(24 * int64(min(n, len(raw)))); err != nil {
				return nil, err
			}
			return splitStrings(raw, n)
		}
		t, err := tensor.FromBytes(d, raw, int64(n))
		return t.Data, err
	}
	switch d {
	case tensor.Bool:
		return filled(r, p.GetBoolVal(), n)
	case tensor.Int8:
		return narrowed[int8](r, p.GetIntVal(), n)
	case tensor.Int16:
		return narrowed[int16](r, p.GetIntVal(), n)
	case tensor.Int32:
		return filled(r, p.GetIntVal(), n)
	case tensor.Int64:
		return filled(r, p.GetInt64Val(), n)
	case tensor.Uint8:
		return narrowed[uint8](r, p.GetIntVal(), n)
	case tensor.Uint16:
		return narrowed[uint16](r, p.GetIntVal(), n)
	case tensor.Uint32:
		return filled(r, p.GetUint32Val(), n)
	case tensor.Uint64:
		return filled(r, p.GetUint64Val(), n)
	case tensor.Float16:
		return narrowed[tensor.Float16Bits](r, p.GetHalfVal(), n)
	case tensor.BFloat16:
		return narrowed[tensor.BFloat16Bits](r, p.GetHalfVal(), n)
	case tensor.Float32:
		return filled(r, p.GetFloatVal(), n)
	case tensor.Float64:
		return filled(r, p.GetDoubleVal(), n)
	}
	if err := r.memory.Grow(int64(16 * len(p.GetStringVal()))); err != nil {
		return nil, err
	}
	elements := make([]string, len(p.GetStringVal()))
	for i, b := range p.GetStringVal() {
		elements[i] = text(b)
	}
	return filled(r, elements, n)
}

func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } // the message is not changed

func narrowed[T int8 | int16 | uint8 | uint16 | tensor.Float16Bits | tensor.BFloat16Bits](r *reader, wide []int32, n int) (any, error) {
	values, err := wire.Narrow[T](wide)
	if err != nil {
		return nil, err
	}
	return filled(r, values, n)
}

// filled returns n values. If there are fewer, the last one repeats, as in TensorFlow, which omits
// repeats.
func filled[T tensor.Element](r *reader, values []T, n int) (any, error) {
	switch {
	case len(values) == n:
		return values, nil
	case len(values) > n:
		return nil, fmt.Errorf("it has %d values for %d elements", len(values), n)
	case len(values) == 0:
		return nil, fmt.Errorf("it has no values for %d elements, and neither has %s", n, content)
	}
	var last T
	more := (n - len(values)) * int(unsafe.Sizeof(last))
	if r.remaining -= int64(more); r.remaining < 0 {
		return nil, fmt.Errorf("it has %d values for %d elements, which exceed the limit of a request", len(values), n)
	}
	if err := r.memory.Grow(int64(more)); err != nil {
		return nil, err
	}
	out := make([]T, n)
	last = values[len(values)-1]
	for i := copy(out, values); i < n; i++ {
		out[i] = last
	}
	return out, nil
}

// splitStrings reads n lengths as varints, and then the strings.
func splitStrings(raw []byte, n int) ([]string, error) {
	if n > len(raw) { // a length is a byte at least
		return nil, fmt.Errorf("it has %d bytes, too few for %d strings", len(raw), n)
	}
	lengths, rest := make([]uint64, n), raw
	for i := range lengths {
		length, size := binary.Uvarint(rest)
		if size <= 0 {
			return nil, fmt.Errorf("the length of element %d is not a varint", i)
		}
		lengths[i], rest = length, rest[size:]
	}
	out := make([]string, n)
	for i, length := range lengths {
		if length > uint64(len(rest)) {
			return nil, fmt.Errorf("element %d has %d bytes, %d are left", i, length, len(rest))
		}
		out[i], rest = text(rest[:length]), rest[length:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes are left after %d strings", len(rest), n)
	}
	return out, nil
}

// toProto writes a tensor into the field for its type, as TensorFlow Serving does, since its clients read
// that.
//
//forgo:writer TensorFlow gRPC
func toProto(t tensor.Tensor) *pb.TensorProto {
	p := &pb.TensorProto{Dtype: protoType(t.DType()), TensorShape: protoShape(t.Shape)}
	switch data := t.Data.(type) {
	case []bool:
		p.BoolVal = data
	case []int8:
		p.IntVal = wire.Widen[int32](data)
	case []int16:
		p.IntVal = wire.Widen[int32](data)
	case []int32:
		p.IntVal = data
	case []int64:
		p.Int64Val = data
	case []uint8:
		p.IntVal = wire.Widen[int32](data)
	case []uint16:
		p.IntVal = wire.Widen[int32](data)
	case []uint32:
		p.Uint32Val = data
	case []uint64:
		p.Uint64Val = data
	case []tensor.Float16Bits:
		p.HalfVal = wire.Widen[int32](data)
	case []tensor.BFloat16Bits:
		p.HalfVal = wire.Widen[int32](data)
	case []float32:
		p.FloatVal = data
	case []float64:
		p.DoubleVal = data
	case []string:
		for _, text := range data {
			p.StringVal = append(p.StringVal, []byte(text))
		}
	}
	return p
}
