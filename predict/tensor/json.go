package tensor

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// AppendJSON appends element i as a JSON value. A float is written with the fewest digits
// that give it back; one that is not finite, which JSON cannot say, as null.
func (t Tensor) AppendJSON(dst []byte, i int) []byte {
	switch data := t.Data.(type) {
	case []float32:
		return appendFloat(dst, float64(data[i]), 32)
	case []float64:
		return appendFloat(dst, data[i], 64)
	case []int64:
		return strconv.AppendInt(dst, data[i], 10)
	case []int32:
		return strconv.AppendInt(dst, int64(data[i]), 10)
	case []uint8:
		return strconv.AppendUint(dst, uint64(data[i]), 10)
	case []bool:
		return strconv.AppendBool(dst, data[i])
	}
	v := reflect.ValueOf(t.Data).Index(i)
	if x, ok := number(v); ok {
		return appendFloat(dst, x, 64)
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

func appendFloat(dst []byte, x float64, bits int) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(dst, "null"...)
	}
	format := byte('f')
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, x, format, -1, bits)
}

// MarshalJSON writes the tensor as lists nested by its shape.
func (t Tensor) MarshalJSON() ([]byte, error) {
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("write tensor as JSON: %w", err)
	}
	next := 0
	var nested func(dst []byte, shape []int64) []byte
	nested = func(dst []byte, shape []int64) []byte {
		if len(shape) == 0 {
			dst = t.AppendJSON(dst, next)
			next++
			return dst
		}
		dst = append(dst, '[')
		for i := range shape[0] {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = nested(dst, shape[1:])
		}
		return append(dst, ']')
	}
	return nested(nil, t.Shape), nil
}
