package tensor

// Tensors as bytes in wire formats: row-major, little-endian, without padding. Each string follows its
// length in four bytes.

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// littleEndian reports whether this machine stores numbers as they are sent.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// ElementSize returns the size of an element in bytes, or 0 for strings.
func (d DType) ElementSize() int {
	switch d {
	case Bool, Int8, Uint8:
		return 1
	case Int16, Uint16, Float16, BFloat16:
		return 2
	case Int32, Uint32, Float32:
		return 4
	case Int64, Uint64, Float64:
		return 8
	}
	return 0
}

// Empty returns an empty slice of a type's elements, or nil for an unknown type.
func Empty(d DType) any {
	if t, err := FromBytes(d, nil, 0); err == nil {
		return t.Data
	}
	return nil
}

// FromBytes returns the tensor in raw. It shares raw's memory for strings and, where alignment and byte
// order allow, for numbers. raw must not change while the tensor is in use.
//
//forgo:reader binary tensors
func FromBytes(dtype DType, raw []byte, shape ...int64) (Tensor, error) {
	n, err := Count(shape)
	if err != nil {
		return Tensor{}, err
	}
	if dtype == String {
		values, err := splitStrings(raw, n)
		return Tensor{Shape: shape, Data: values}, err
	}
	size := int64(dtype.ElementSize())
	if size == 0 {
		return Tensor{}, fmt.Errorf("unknown element type %s", Quote(dtype))
	}
	if n*size != int64(len(raw)) {
		return Tensor{}, fmt.Errorf("shape %v of %s needs %d bytes, got %d", shape, dtype, n*size, len(raw))
	}
	t := Tensor{Shape: shape}
	switch dtype {
	case Bool:
		if i := slices.IndexFunc(raw, func(b byte) bool { return b > 1 }); i >= 0 {
			return Tensor{}, fmt.Errorf("byte %d is %d; a bool is 0 or 1", i, raw[i])
		}
		t.Data = view[bool](raw)
	case Int8:
		t.Data = view[int8](raw)
	case Uint8:
		t.Data = raw
	case Int16:
		t.Data = view[int16](raw)
	case Uint16:
		t.Data = view[uint16](raw)
	case Float16:
		t.Data = view[Float16Bits](raw)
	case BFloat16:
		t.Data = view[BFloat16Bits](raw)
	case Int32:
		t.Data = view[int32](raw)
	case Uint32:
		t.Data = view[uint32](raw)
	case Float32:
		t.Data = view[float32](raw)
	case Int64:
		t.Data = view[int64](raw)
	case Uint64:
		t.Data = view[uint64](raw)
	case Float64:
		t.Data = view[float64](raw)
	}
	return t, nil
}

// Bytes returns the tensor's elements as they are sent. It shares the tensor's memory if the machine's
// byte order allows.
func (t Tensor) Bytes() ([]byte, error) {
	switch data := t.Data.(type) {
	case []bool:
		return bytesOf(data), nil
	case []int8:
		return bytesOf(data), nil
	case []uint8:
		return data, nil
	case []int16:
		return bytesOf(data), nil
	case []uint16:
		return bytesOf(data), nil
	case []Float16Bits:
		return bytesOf(data), nil
	case []BFloat16Bits:
		return bytesOf(data), nil
	case []int32:
		return bytesOf(data), nil
	case []uint32:
		return bytesOf(data), nil
	case []float32:
		return bytesOf(data), nil
	case []int64:
		return bytesOf(data), nil
	case []uint64:
		return bytesOf(data), nil
	case []float64:
		return bytesOf(data), nil
	case []string:
		return joinStrings(data)
	}
	return nil, fmt.Errorf("tensor data is a %T, which has no bytes", t.Data)
}

//forgo:reader BYTES
func splitStrings(raw []byte, n int64) ([]string, error) {
	if n > int64(len(raw))/4 {
		return nil, fmt.Errorf("%d bytes are too few for %d strings, each after its length in 4 bytes", len(raw), n)
	}
	values := make([]string, n)
	rest := raw
	for i := range values {
		if len(rest) < 4 {
			return nil, fmt.Errorf("the bytes end before the length of string %d", i)
		}
		size := binary.LittleEndian.Uint32(rest)
		if rest = rest[4:]; uint64(size) > uint64(len(rest)) {
			return nil, fmt.Errorf("string %d claims %d bytes of the %d left; each string comes after its length, 4 bytes little-endian", i, size, len(rest))
		}
		values[i] = unsafe.String(unsafe.SliceData(rest), size)
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes are left after %d strings", len(rest), n)
	}
	return values, nil
}

func joinStrings(values []string) ([]byte, error) {
	size := 0
	for _, text := range values {
		size += 4 + len(text)
	}
	out := make([]byte, 0, size)
	for i, text := range values {
		if uint64(len(text)) > math.MaxUint32 {
			return nil, fmt.Errorf("string %d is longer than 4 GiB", i)
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
		out = append(out, text...)
	}
	return out, nil
}

// view returns raw as numbers, and copies it only if it must.
func view[T Element](raw []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	n := len(raw) / size
	if n == 0 {
		return []T{}
	}
	if start := unsafe.Pointer(unsafe.SliceData(raw)); size == 1 || littleEndian && uintptr(start)%uintptr(size) == 0 {
		return unsafe.Slice((*T)(start), n)
	}
	out := make([]T, n)
	copy(bytesIn(out), raw)
	if !littleEndian {
		swap(bytesIn(out), size)
	}
	return out
}

func bytesOf[T Element](data []T) []byte {
	var zero T
	raw := bytesIn(data)
	if size := int(unsafe.Sizeof(zero)); size > 1 && !littleEndian {
		raw = slices.Clone(raw)
		swap(raw, size)
	}
	return raw
}

// bytesIn returns the memory of data.
func bytesIn[T Element](data []T) []byte {
	if len(data) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), len(data)*int(unsafe.Sizeof(zero)))
}

func swap(raw []byte, size int) {
	for ; len(raw) > 0; raw = raw[size:] {
		slices.Reverse(raw[:size])
	}
}
