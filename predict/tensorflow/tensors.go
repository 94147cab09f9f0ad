package tensorflow

/*
#include "capi.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// types are TensorFlow's DataType numbers.
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

// dtypeOf is "" for types that tensors here cannot have: complex, quantized, resources.
func dtypeOf(number uint64) tensor.DType {
	return dtypes[int(number%100)] // references to variables are 100 higher
}

// toTensor copies t into TensorFlow's memory.
func toTensor(t tensor.Tensor) (*C.TF_Tensor, error) {
	if texts, ok := t.Data.([]string); ok {
		return toStrings(t.Shape, texts)
	}
	raw, err := t.Bytes() // shares the memory where it can
	if err != nil {
		return nil, err
	}
	var dims *C.int64_t
	if len(t.Shape) > 0 {
		dims = (*C.int64_t)(&t.Shape[0])
	}
	made := C.forgo_tf_tensor(C.int(types[t.DType()]), dims, C.int(len(t.Shape)), unsafe.Pointer(unsafe.SliceData(raw)), C.size_t(len(raw)))
	if made == nil {
		return nil, fmt.Errorf("TensorFlow makes no tensor of %s%v", t.DType(), t.Shape)
	}
	return made, nil
}

// toStrings hands strings over as a serialized TensorProto, so that TensorFlow makes the
// strings itself, and frees them when the last part of it that holds the tensor lets go.
func toStrings(shape []int64, texts []string) (*C.TF_Tensor, error) {
	var dims []byte
	for _, d := range shape {
		dim := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(d))
		dims = protowire.AppendBytes(protowire.AppendTag(dims, 2, protowire.BytesType), dim)
	}
	proto := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(types[tensor.String]))
	proto = protowire.AppendBytes(protowire.AppendTag(proto, 2, protowire.BytesType), dims)
	for _, text := range texts {
		proto = protowire.AppendString(protowire.AppendTag(proto, 8, protowire.BytesType), text)
	}
	var made *C.TF_Tensor
	if err := failed(C.forgo_tf_strings(unsafe.Pointer(&proto[0]), C.size_t(len(proto)), &made)); err != nil {
		return nil, err
	}
	return made, nil
}

// fromTensor copies a result into Go's memory.
func fromTensor(t *C.TF_Tensor) (tensor.Tensor, error) {
	var rank C.int
	var dims [C.FORGO_MAX_RANK]C.int64_t
	var data unsafe.Pointer
	var size C.size_t
	number := int(C.forgo_tf_describe(t, &rank, &dims[0], &data, &size))
	if rank > C.FORGO_MAX_RANK {
		return tensor.Tensor{}, fmt.Errorf("it has %d dimensions, more than are supported", rank)
	}
	shape := make([]int64, rank)
	for i := range shape {
		shape[i] = int64(dims[i])
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return tensor.Tensor{}, err
	}
	dtype, known := dtypes[number]
	switch {
	case !known:
		return tensor.Tensor{}, fmt.Errorf("its type, number %d of TensorFlow's, is not supported", number)
	case dtype == tensor.String:
		return tensor.New(fromStrings(data, int(n)), shape...)
	}
	raw := make([]byte, size)
	copy(raw, unsafe.Slice((*byte)(data), int(size)))
	return tensor.FromBytes(dtype, raw, shape...)
}

func fromStrings(data unsafe.Pointer, n int) []string {
	out := make([]string, n)
	if n == 0 {
		return out
	}
	texts, sizes := make([]*C.char, n), make([]C.size_t, n)
	C.forgo_tf_split(data, C.size_t(n), &texts[0], &sizes[0])
	for i := range out {
		out[i] = strings.Clone(unsafe.String((*byte)(unsafe.Pointer(texts[i])), int(sizes[i])))
	}
	return out
}
