package tensorflow

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict/internal/clib"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// types maps element types to TensorFlow's DataType numbers.
var types = map[tensor.DType]int{
	tensor.Float32: 1, tensor.Float64: 2, tensor.Int32: 3, tensor.Uint8: 4, tensor.Int16: 5, tensor.Int8: 6,
	tensor.String: 7, tensor.Int64: 9, tensor.Bool: 10, tensor.BFloat16: 14, tensor.Uint16: 17, tensor.Float16: 19,
	tensor.Uint32: 22, tensor.Uint64: 23,
}

var dtypes = func() map[int]tensor.DType {
	out := map[int]tensor.DType{}
	for name, number := range types {
		out[number] = name
	}
	return out
}()

// dtypeOf returns the element type, or "" for complex, quantized and resource types, which tensors cannot
// have here.
func dtypeOf(number uint64) tensor.DType {
	return dtypes[int(number%100)] // references to variables are 100 higher
}

// toTensor copies t into TensorFlow's memory.
func toTensor(t tensor.Tensor) (uintptr, error) {
	if values, ok := t.Data.([]string); ok {
		return toStrings(t.Shape, values)
	}
	raw, err := t.Bytes() // shares the memory where it can
	if err != nil {
		return 0, err
	}
	made := makeTensor(types[t.DType()], t.Shape, raw)
	if made == 0 {
		return 0, fmt.Errorf("TensorFlow cannot make a tensor of %s%v", t.DType(), t.Shape)
	}
	return made, nil
}

// toStrings passes strings as a serialized TensorProto, so that TensorFlow allocates and frees them
// itself.
func toStrings(shape []int64, values []string) (uintptr, error) {
	var dims []byte
	for _, d := range shape {
		dim := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(d))
		dims = protowire.AppendBytes(protowire.AppendTag(dims, 2, protowire.BytesType), dim)
	}
	proto := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(types[tensor.String]))
	proto = protowire.AppendBytes(protowire.AppendTag(proto, 2, protowire.BytesType), dims)
	for _, text := range values {
		proto = protowire.AppendString(protowire.AppendTag(proto, 8, protowire.BytesType), text)
	}
	return makeFromProto(proto)
}

// fromTensor copies a result into Go's memory.
func fromTensor(t uintptr) (tensor.Tensor, error) {
	if t == 0 {
		return tensor.Tensor{}, errors.New("it has no value")
	}
	rank := int(int32(clib.Call(tf.NumDims, t)))
	if rank > maxRank {
		return tensor.Tensor{}, fmt.Errorf("it has too many dimensions, %d", rank)
	}
	shape := make([]int64, max(rank, 0))
	for i := range shape {
		shape[i] = int64(clib.Call(tf.Dim, t, uintptr(i)))
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return tensor.Tensor{}, err
	}
	number := int(int32(clib.Call(tf.TensorType, t)))
	dtype, known := dtypes[number]
	data, size := clib.Call(tf.TensorData, t), int(clib.Call(tf.TensorByteSize, t))
	switch {
	case !known:
		return tensor.Tensor{}, fmt.Errorf("its TensorFlow type, number %d, is not supported", number)
	case dtype == tensor.String:
		if int64(size) < n*stringSize {
			return tensor.Tensor{}, fmt.Errorf("its %d strings do not fit %d bytes", n, size)
		}
		values := make([]string, n)
		for i := range values {
			values[i] = string(textAt(data, i))
		}
		return tensor.New(values, shape...)
	}
	raw := make([]byte, size)
	copy(raw, clib.Bytes(data, size))
	return tensor.FromBytes(dtype, raw, shape...)
}
