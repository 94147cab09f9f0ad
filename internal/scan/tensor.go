package scan

// Lists of numbers, booleans and strings, read into typed slices.

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Tensor reads a value, or lists nested to any depth, as elements of dtype. The shape is
// the nesting. elements is how many are expected, 0 where that is not known.
func (r *Reader) Tensor(dtype tensor.DType, elements int64) (tensor.Tensor, error) {
	// An element takes two bytes or more of the text, with its comma.
	room := min(max(elements, 0), int64(len(r.data)-r.at)/2+1, int64(r.limits.Elements))
	switch dtype {
	case tensor.Float32:
		return Elements(r, room, numeral(float[float32]))
	case tensor.Float64:
		return Elements(r, room, numeral(float[float64]))
	case tensor.Int8:
		return Elements(r, room, numeral(signed[int8]))
	case tensor.Int16:
		return Elements(r, room, numeral(signed[int16]))
	case tensor.Int32:
		return Elements(r, room, numeral(signed[int32]))
	case tensor.Int64:
		return Elements(r, room, numeral(signed[int64]))
	case tensor.Uint8:
		return Elements(r, room, numeral(unsigned[uint8]))
	case tensor.Uint16:
		return Elements(r, room, numeral(unsigned[uint16]))
	case tensor.Uint32:
		return Elements(r, room, numeral(unsigned[uint32]))
	case tensor.Uint64:
		return Elements(r, room, numeral(unsigned[uint64]))
	case tensor.Bool:
		return Elements(r, room, func(r *Reader) (bool, error) {
			if c := r.Peek(); c != 't' && c != 'f' {
				return false, r.not("true or false")
			}
			return r.Bool()
		})
	case tensor.String:
		return Elements(r, room, func(r *Reader) (string, error) {
			if r.Peek() != '"' {
				return "", r.not("a string")
			}
			return r.Text()
		})
	}
	return tensor.Tensor{}, fmt.Errorf("%s cannot be written as JSON; send it as binary data", dtype)
}

// not says of a well-formed value that it is of another kind than wanted.
func (r *Reader) not(kind string) error {
	value, err := r.Raw()
	if err != nil {
		return err
	}
	if len(value) > 40 {
		value = append(value[:37:37], "..."...)
	}
	return fmt.Errorf("%s is not %s", value, kind)
}

var errRagged = errors.New("the lists are ragged")

// Elements reads a value, or lists nested to any depth, each innermost value by element. room
// is how many are expected.
func Elements[T tensor.Element](r *Reader, room int64, element func(*Reader) (T, error)) (tensor.Tensor, error) {
	data := make([]T, 0, room)
	shape := []int64{} // -1 until the first list of a depth has ended
	leaf := -1         // the depth of the elements, -1 until the first is met
	var walk func(depth int) error
	walk = func(depth int) error {
		if r.Peek() != '[' {
			if leaf < 0 {
				leaf = depth
			}
			if depth != leaf {
				return errRagged
			}
			if r.elements++; r.elements > r.limits.Elements {
				return fmt.Errorf("there are more than %d elements", r.limits.Elements)
			}
			x, err := element(r)
			data = append(data, x)
			return err
		}
		if leaf >= 0 && depth >= leaf {
			return errRagged
		}
		if depth == len(shape) {
			shape = append(shape, -1)
		}
		n := int64(0)
		if err := r.List(func(int) error { n++; return walk(depth + 1) }); err != nil {
			return err
		}
		if n == 0 && leaf < 0 {
			leaf = depth + 1
		}
		if shape[depth] >= 0 && shape[depth] != n {
			return errRagged
		}
		shape[depth] = n
		return nil
	}
	if err := walk(0); err != nil {
		return tensor.Tensor{}, err
	}
	return tensor.New(data, shape...)
}

func numeral[T tensor.Element](parse func(token string) (T, error)) func(*Reader) (T, error) {
	return func(r *Reader) (T, error) {
		if c := r.Peek(); c == '"' || c == '{' || c == 't' || c == 'f' || c == 'n' {
			return *new(T), r.not("a number")
		}
		token, err := r.number()
		if err != nil {
			return *new(T), err
		}
		return parse(token)
	}
}

func float[T float32 | float64](token string) (T, error) {
	switch token {
	case "NaN":
		return T(math.NaN()), nil
	case "Infinity":
		return T(math.Inf(1)), nil
	case "-Infinity":
		return T(math.Inf(-1)), nil
	}
	bits := bitsOf(T(0))
	x, err := strconv.ParseFloat(token, bits)
	if err != nil {
		return 0, fmt.Errorf("%s does not fit a float%d", token, bits)
	}
	return T(x), nil
}

func signed[T int8 | int16 | int32 | int64](token string) (T, error) {
	bits := bitsOf(T(0))
	x, err := strconv.ParseInt(token, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%s is not an int%d", token, bits)
	}
	return T(x), nil
}

func unsigned[T uint8 | uint16 | uint32 | uint64](token string) (T, error) {
	bits := bitsOf(T(0))
	x, err := strconv.ParseUint(token, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%s is not a uint%d", token, bits)
	}
	return T(x), nil
}

func bitsOf(zero any) int {
	switch zero.(type) {
	case int8, uint8:
		return 8
	case int16, uint16:
		return 16
	case int32, uint32, float32:
		return 32
	}
	return 64
}
