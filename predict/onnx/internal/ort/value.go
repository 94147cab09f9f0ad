package ort

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/internal/clib"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Value is an OrtValue: a tensor in ONNX Runtime. The zero value is none.
type Value uintptr

// Free frees a value, unless it is 0.
func (l *Library) Free(v Value) { l.release(releaseValue, uintptr(v)) }

// numbers maps element types to ONNXTensorElementDataType, whose numbers equal TensorProto.DataType's.
var numbers = func() map[tensor.DType]uintptr {
	out := map[tensor.DType]uintptr{}
	for number, dtype := range onnxformat.DTypes {
		out[dtype] = uintptr(number)
	}
	return out
}()

func dims(shape []int64) (first unsafe.Pointer, rank uintptr) {
	return unsafe.Pointer(unsafe.SliceData(shape)), uintptr(len(shape))
}

// View returns a value that shares data. The caller must keep data pinned while it uses the value.
func (l *Library) View(dtype tensor.DType, shape []int64, data []byte) (Value, error) {
	if len(data) == 0 {
		return l.Make(dtype, shape)
	}
	made := new(Value)
	first, rank := dims(shape)
	err := l.call(createTensorWithDataAsOrtValue, l.memory, uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)),
		uintptr(first), rank, numbers[dtype], uintptr(unsafe.Pointer(made)))
	return *made, err
}

// Make returns a value that ONNX Runtime allocates. Its elements are not set.
func (l *Library) Make(dtype tensor.DType, shape []int64) (Value, error) {
	made := new(Value)
	first, rank := dims(shape)
	err := l.call(createTensorAsOrtValue, l.allocator, uintptr(first), rank, numbers[dtype], uintptr(unsafe.Pointer(made)))
	return *made, err
}

// Strings returns a value of strings, which may contain any bytes.
func (l *Library) Strings(shape []int64, values []string) (Value, error) {
	v, err := l.Make(tensor.String, shape)
	buffer := new(uintptr)
	for i, text := range values {
		if err != nil {
			break
		}
		err = l.call(getResizedStringTensorElementBuffer, uintptr(v), uintptr(i), uintptr(len(text)), uintptr(unsafe.Pointer(buffer)))
		if err == nil {
			copy(clib.Bytes(*buffer, len(text)), text)
		}
	}
	if err != nil {
		l.Free(v)
		return 0, err
	}
	return v, nil
}

// elements returns the address of a value's elements, valid as long as the value.
func (l *Library) elements(v Value) (uintptr, error) {
	at := new(uintptr)
	err := l.call(getTensorMutableData, uintptr(v), uintptr(unsafe.Pointer(at)))
	return *at, err
}

// maxRank exceeds the rank of every operation.
const maxRank = 64

// Read copies a value to a tensor.
func (l *Library) Read(v Value) (tensor.Tensor, error) {
	if v == 0 {
		return tensor.Tensor{}, errors.New("it has no value")
	}
	dtype, shape, err := l.kind(v)
	if err != nil {
		return tensor.Tensor{}, err
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if dtype == tensor.String {
		values, err := l.stringData(v, int(n))
		return tensor.Tensor{Shape: shape, Data: values}, err
	}
	raw := make([]byte, int(n)*dtype.ElementSize())
	if len(raw) > 0 {
		at, err := l.elements(v)
		if err != nil {
			return tensor.Tensor{}, err
		}
		copy(raw, clib.Bytes(at, len(raw)))
	}
	return tensor.FromBytes(dtype, raw, shape...)
}

// kind returns the type and shape of a tensor.
func (l *Library) kind(v Value) (tensor.DType, []int64, error) {
	made := new(struct {
		info, rank uintptr
		number     int32
	})
	if err := l.call(getTensorTypeAndShape, uintptr(v), uintptr(unsafe.Pointer(&made.info))); err != nil {
		return "", nil, err
	}
	defer l.release(releaseTensorTypeAndShapeInfo, made.info)
	if err := l.call(getTensorElementType, made.info, uintptr(unsafe.Pointer(&made.number))); err != nil {
		return "", nil, err
	}
	dtype, known := onnxformat.DTypes[uint64(made.number)]
	if !known {
		return "", nil, fmt.Errorf("its element type, number %d in ONNX, is not supported", made.number)
	}
	if err := l.call(getDimensionsCount, made.info, uintptr(unsafe.Pointer(&made.rank))); err != nil {
		return "", nil, err
	}
	if made.rank > maxRank {
		return "", nil, fmt.Errorf("it has %d dimensions (limit %d)", made.rank, maxRank)
	}
	shape := make([]int64, made.rank)
	first, rank := dims(shape)
	return dtype, shape, l.call(getDimensions, made.info, uintptr(first), rank)
}

// stringData copies n strings.
func (l *Library) stringData(v Value, n int) ([]string, error) {
	out := make([]string, n)
	if n == 0 {
		return out, nil
	}
	length := new(uintptr)
	if err := l.call(getStringTensorDataLength, uintptr(v), uintptr(unsafe.Pointer(length))); err != nil {
		return nil, err
	}
	all, starts := make([]byte, *length), make([]uintptr, n)
	if err := l.call(getStringTensorContent, uintptr(v), uintptr(unsafe.Pointer(unsafe.SliceData(all))), *length,
		uintptr(unsafe.Pointer(&starts[0])), uintptr(n)); err != nil {
		return nil, err
	}
	for i := range out {
		end := *length
		if i+1 < n {
			end = starts[i+1]
		}
		if starts[i] > end || end > *length {
			return nil, fmt.Errorf("string %d lies from byte %d to %d of %d", i, starts[i], end, *length)
		}
		out[i] = string(all[starts[i]:end])
	}
	return out, nil
}
