package scan

// Lists of numbers, booleans and strings, read into typed slices.

import (
	"errors"
	"fmt"
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
		return Elements(r, room, float32s)
	case tensor.Float64:
		return Elements(r, room, float64s)
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
	l := lists[T]{Reader: r, element: element, data: make([]T, 0, room), shape: []int64{}, leaf: -1}
	if err := l.value(0); err != nil {
		return tensor.Tensor{}, err
	}
	return tensor.New(l.data, l.shape...)
}

// lists are what was read of a tensor so far.
type lists[T tensor.Element] struct {
	*Reader
	element func(*Reader) (T, error)
	data    []T
	shape   []int64 // -1 until the first list of a depth has ended
	leaf    int     // the depth of the elements, -1 until the first is met
}

func (l *lists[T]) value(depth int) error {
	if l.Peek() != '[' {
		if l.leaf < 0 {
			l.leaf = depth
		}
		if depth != l.leaf {
			return errRagged
		}
		if l.elements++; l.elements > l.limits.Elements {
			return fmt.Errorf("there are more than %d elements", l.limits.Elements)
		}
		x, err := l.element(l.Reader)
		l.data = append(l.data, x)
		return err
	}
	if l.leaf >= 0 && depth >= l.leaf {
		return errRagged
	}
	if depth == len(l.shape) {
		l.shape = append(l.shape, -1)
	}
	n := int64(0)
	if err := l.List(func(int) error { n++; return l.value(depth + 1) }); err != nil {
		return err
	}
	if n == 0 && l.leaf < 0 {
		l.leaf = depth + 1
	}
	if l.shape[depth] >= 0 && l.shape[depth] != n {
		return errRagged
	}
	l.shape[depth] = n
	return nil
}

func numeral[T tensor.Element](parse func(token string) (T, error)) func(*Reader) (T, error) {
	return func(r *Reader) (T, error) { return parsed(r, parse) }
}

func parsed[T tensor.Element](r *Reader, parse func(token string) (T, error)) (T, error) {
	if c := r.Peek(); c == '"' || c == '{' || c == 't' || c == 'f' || c == 'n' {
		return *new(T), r.not("a number")
	}
	token, err := r.number()
	if err != nil {
		return *new(T), err
	}
	return parse(token)
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
