package tensor

// Tensors as JSON, for the library, the command and every protocol.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Floats says how to write whole numbers, and NaN and infinities, which JSON lacks.
type Floats int8

const (
	// Null writes null for NaN and infinities. Every JSON parser accepts it.
	Null Floats = iota
	// Bare writes NaN, Infinity and -Infinity, as Triton and Python's json module do.
	Bare
	// Decimal is like Bare, but writes every float with a point or an exponent, as in 1.0. TensorFlow
	// Serving does the same, since clients without type information take numbers without one for integers.
	Decimal
)

// AppendFlat appends the elements as one list in row-major order.
func AppendFlat(dst []byte, t Tensor, n Floats) []byte {
	dst = append(dst, '[')
	dst = AppendElements(dst, t, 0, t.Len(), n)
	return append(dst, ']')
}

// AppendNested appends the elements as lists nested by the tensor's shape.
func AppendNested(dst []byte, t Tensor, n Floats) []byte {
	next := 0
	return nested(dst, t.Shape, func(dst []byte, count int) []byte {
		next += count
		return AppendElements(dst, t, next-count, next, n)
	})
}

// MarshalJSON writes the tensor as lists nested by its shape. NaN and infinities become null.
func (t Tensor) MarshalJSON() ([]byte, error) {
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("write tensor as JSON: %w", err)
	}
	return AppendNested(nil, t, Null), nil
}

// AppendNestedBase64 is AppendNested for strings that are not UTF-8, each as {"b64": …}.
func AppendNestedBase64(dst []byte, shape []int64, values []string) []byte {
	return nested(dst, shape, func(dst []byte, n int) []byte {
		dst = list(dst, values[:n], func(dst []byte, s string) []byte {
			dst = append(dst, `{"b64":"`...)
			dst = base64.StdEncoding.AppendEncode(dst, []byte(s))
			return append(dst, `"}`...)
		})
		values = values[n:]
		return dst
	})
}

// nested writes the lists of a shape. some appends the next n elements.
func nested(dst []byte, shape []int64, some func(dst []byte, n int) []byte) []byte {
	if len(shape) == 0 {
		return some(dst, 1)
	}
	dst = append(dst, '[')
	if len(shape) == 1 {
		dst = some(dst, int(shape[0]))
		return append(dst, ']')
	}
	for i := range shape[0] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = nested(dst, shape[1:], some)
	}
	return append(dst, ']')
}

// AppendElements appends elements from to to, exclusive, with commas between them.
//
//forgo:writer JSON
func AppendElements(dst []byte, t Tensor, from, to int, n Floats) []byte {
	switch data := t.Data.(type) {
	case []float32:
		return floats(dst, data[from:to], 32, n, func(x float32) float64 { return float64(x) })
	case []float64:
		return floats(dst, data[from:to], 64, n, func(x float64) float64 { return x })
	case []Float16Bits:
		return floats(dst, data[from:to], 32, n, Float16Bits.Float64)
	case []BFloat16Bits:
		return floats(dst, data[from:to], 32, n, BFloat16Bits.Float64)
	case []int8:
		return list(dst, data[from:to], appendInt[int8])
	case []int16:
		return list(dst, data[from:to], appendInt[int16])
	case []int32:
		return list(dst, data[from:to], appendInt[int32])
	case []int64:
		return list(dst, data[from:to], appendInt[int64])
	case []uint8:
		return list(dst, data[from:to], appendUint[uint8])
	case []uint16:
		return list(dst, data[from:to], appendUint[uint16])
	case []uint32:
		return list(dst, data[from:to], appendUint[uint32])
	case []uint64:
		return list(dst, data[from:to], appendUint[uint64])
	case []bool:
		return list(dst, data[from:to], strconv.AppendBool)
	case []string:
		return list(dst, data[from:to], AppendText)
	}
	return dst
}

func floats[T Float16Bits | BFloat16Bits | float32 | float64](dst []byte, data []T, bits int, n Floats, wide func(T) float64) []byte {
	for i, x := range data {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendFloat(dst, wide(x), bits, n)
	}
	return dst
}

func list[T any](dst []byte, data []T, one func([]byte, T) []byte) []byte {
	for i, x := range data {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, x)
	}
	return dst
}

func appendInt[T int8 | int16 | int32 | int64](dst []byte, x T) []byte {
	return strconv.AppendInt(dst, int64(x), 10)
}

func appendUint[T uint8 | uint16 | uint32 | uint64](dst []byte, x T) []byte {
	return strconv.AppendUint(dst, uint64(x), 10)
}

// AppendFloat appends x with the fewest digits that identify it as a float of bits bits.
func AppendFloat(dst []byte, x float64, bits int, n Floats) []byte {
	if x-x != 0 { // not finite
		switch {
		case n == Null:
			return append(dst, "null"...)
		case x > 0:
			return append(dst, "Infinity"...)
		case x < 0:
			return append(dst, "-Infinity"...)
		}
		return append(dst, "NaN"...)
	}
	format := byte('f')
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, x, format, -1, bits)
	if n == Decimal && format == 'f' && bytes.IndexByte(dst[start:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}

// AppendText appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always can be written
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// CheckText returns an error that names the first string that is not UTF-8, which JSON cannot carry as
// text.
func CheckText(t Tensor) error {
	values, _ := t.Data.([]string)
	for i, text := range values {
		if !utf8.ValidString(text) {
			return fmt.Errorf("element %d is not UTF-8, which JSON cannot carry as text", i)
		}
	}
	return nil
}

// AppendShape appends a shape as a list.
func AppendShape(dst []byte, shape []int64) []byte {
	dst = append(dst, '[')
	dst = list(dst, shape, appendInt[int64])
	return append(dst, ']')
}
