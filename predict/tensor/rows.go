package tensor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Spec describes one input or output of a model: what a tensor must look like.
type Spec struct {
	Name string
	DType
	// Shape has -1 for a free dimension; the first is the batch. It is nil where even the
	// number of dimensions is free, and empty for a scalar.
	Shape []int64
}

// Match fails unless t has the spec's type and fits its shape.
func (s Spec) Match(t Tensor) error {
	if err := t.Check(); err != nil {
		return fmt.Errorf("tensor %q: %w", s.Name, err)
	}
	fits := t.DType() == s.DType && (s.Shape == nil || len(t.Shape) == len(s.Shape))
	for i := 0; fits && i < len(s.Shape); i++ {
		fits = s.Shape[i] < 0 || s.Shape[i] == t.Shape[i]
	}
	if !fits {
		return fmt.Errorf("tensor %q: got %s%v, want %s%v (-1 is free)", s.Name, t.DType(), t.Shape, s.DType, s.Shape)
	}
	return nil
}

// ParseRow reads one JSON row into tensors with a batch of one, a tensor for each spec.
// The row is an object of input names to values or, where there is one input, its bare
// value: a number, string, boolean or nested lists of them. Numbers are rounded once, to
// the input's type.
func ParseRow(row []byte, specs []Spec) (Map, error) {
	dec := json.NewDecoder(bytes.NewReader(row))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("parse JSON row: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse JSON row: more than one JSON value")
	}
	fields, ok := value.(map[string]any)
	if !ok {
		if len(specs) != 1 {
			return nil, fmt.Errorf("parse JSON row: the model has %d inputs; send an object with their names", len(specs))
		}
		fields = map[string]any{specs[0].Name: value}
	}
	out := Map{}
	for _, s := range specs {
		v, ok := fields[s.Name]
		if !ok {
			return nil, fmt.Errorf("parse JSON row: input %q is missing", s.Name)
		}
		t, err := FromJSON(v, s.DType)
		if err != nil {
			return nil, fmt.Errorf("parse JSON row: input %q: %w", s.Name, err)
		}
		t = t.Batch()
		if err := s.Match(t); err != nil {
			return nil, fmt.Errorf("parse JSON row: %w", err)
		}
		out[s.Name] = t
	}
	for name := range fields {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("parse JSON row: the model has no input %q", name)
		}
	}
	return out, nil
}

// FromJSON turns a decoded JSON value (numbers as [json.Number]) into a tensor whose shape
// is the nesting of its lists. Ragged lists and values that do not fit the type are errors.
func FromJSON(value any, dtype DType) (Tensor, error) {
	shape := []int64{}
	for v := value; ; {
		list, ok := v.([]any)
		if !ok {
			break
		}
		shape = append(shape, int64(len(list)))
		if len(list) == 0 {
			break
		}
		v = list[0]
	}
	switch dtype {
	case Bool:
		return collect(value, shape, func(v any) (bool, error) { return as[bool](v) })
	case String:
		return collect(value, shape, func(v any) (string, error) { return as[string](v) })
	case Int8:
		return collect(value, shape, integer[int8](8))
	case Int16:
		return collect(value, shape, integer[int16](16))
	case Int32:
		return collect(value, shape, integer[int32](32))
	case Int64:
		return collect(value, shape, integer[int64](64))
	case Uint8:
		return collect(value, shape, unsigned[uint8](8))
	case Uint16:
		return collect(value, shape, unsigned[uint16](16))
	case Uint32:
		return collect(value, shape, unsigned[uint32](32))
	case Uint64:
		return collect(value, shape, unsigned[uint64](64))
	case Float32:
		return collect(value, shape, float[float32](32))
	case Float64:
		return collect(value, shape, float[float64](64))
	}
	return Tensor{}, fmt.Errorf("%s cannot be written as JSON", dtype)
}

func collect[T Element](value any, shape []int64, scalar func(any) (T, error)) (Tensor, error) {
	var data []T
	var walk func(v any, shape []int64) error
	walk = func(v any, shape []int64) error {
		list, isList := v.([]any)
		if len(shape) == 0 {
			if isList {
				return errors.New("the lists are ragged")
			}
			x, err := scalar(v)
			if err != nil {
				return err
			}
			data = append(data, x)
			return nil
		}
		if !isList || int64(len(list)) != shape[0] {
			return errors.New("the lists are ragged")
		}
		for _, item := range list {
			if err := walk(item, shape[1:]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(value, shape); err != nil {
		return Tensor{}, err
	}
	return New(slices.Clip(data), shape...)
}

// shown is a value as JSON has it, where it is short.
func shown(v any) string {
	text, err := json.Marshal(v)
	if err != nil || len(text) > 40 {
		return fmt.Sprintf("a %T", v)
	}
	return string(text)
}

func as[T any](v any) (T, error) {
	x, ok := v.(T)
	if !ok {
		return x, fmt.Errorf("%v is not a %T", v, x)
	}
	return x, nil
}

func integer[T int8 | int16 | int32 | int64](bits int) func(any) (T, error) {
	return func(v any) (T, error) {
		n, err := as[json.Number](v)
		if err != nil {
			return 0, fmt.Errorf("%s is not a number", shown(v))
		}
		x, err := strconv.ParseInt(string(n), 10, bits)
		if err != nil {
			return 0, fmt.Errorf("%s is not an int%d", n, bits)
		}
		return T(x), nil
	}
}

func unsigned[T uint8 | uint16 | uint32 | uint64](bits int) func(any) (T, error) {
	return func(v any) (T, error) {
		n, err := as[json.Number](v)
		if err != nil {
			return 0, fmt.Errorf("%s is not a number", shown(v))
		}
		x, err := strconv.ParseUint(string(n), 10, bits)
		if err != nil {
			return 0, fmt.Errorf("%s is not a uint%d", n, bits)
		}
		return T(x), nil
	}
}

func float[T float32 | float64](bits int) func(any) (T, error) {
	return func(v any) (T, error) {
		n, err := as[json.Number](v)
		if err != nil {
			return 0, fmt.Errorf("%s is not a number", shown(v))
		}
		x, err := strconv.ParseFloat(string(n), bits)
		if err != nil {
			return 0, fmt.Errorf("%s does not fit a float%d", n, bits)
		}
		return T(x), nil
	}
}
