package tensor

import (
	"errors"
	"fmt"
	"strings"
)

// Spec describes one input or output of a model.
type Spec struct {
	Name string
	DType
	// Shape has -1 for a free dimension. The first dimension is the batch. A nil Shape has any number of
	// dimensions; an empty one is a scalar.
	Shape []int64
}

// Without returns the spec without up to n trailing dimensions of size 1. It keeps the batch.
func (s Spec) Without(n int) Spec {
	for ; n > 0 && len(s.Shape) > 1 && s.Shape[len(s.Shape)-1] == 1; n-- {
		s.Shape = s.Shape[:len(s.Shape)-1]
	}
	return s
}

// Match returns an error unless t has the spec's type and fits its shape.
func (s Spec) Match(t Tensor) error {
	if err := t.Check(); err != nil {
		return fmt.Errorf("tensor %q: %w", s.Name, err)
	}
	if !s.Takes(t.DType(), t.Shape) {
		return s.Unfit(t)
	}
	return nil
}

// Takes reports whether a tensor of the type and shape fits the spec.
func (s Spec) Takes(dtype DType, shape []int64) bool {
	fits := dtype == s.DType && (s.Shape == nil || len(shape) == len(s.Shape))
	for i := 0; fits && i < len(s.Shape); i++ {
		fits = s.Shape[i] < 0 || s.Shape[i] == shape[i]
	}
	return fits
}

// Unfit returns the error for a tensor that does not fit. It ignores the tensor's data.
func (s Spec) Unfit(t Tensor) error {
	shape := fmt.Sprint(t.Shape)
	if len(t.Shape) > shownSizes {
		shape = fmt.Sprintf("[%d dimensions]", len(t.Shape))
	}
	got := t.DType()
	return Worded(func(name func(DType) string) string {
		return fmt.Sprintf("tensor %q: got %s%s, want %s%v (-1 is free)", s.Name, name(got), shape, name(s.DType), s.Shape)
	})
}

// Worded returns an error that names element types in a protocol's terms. words returns the text, given
// the names.
func Worded(words func(name func(DType) string) string) error {
	return &worded{words(func(d DType) string { return string(d) }), words}
}

type worded struct {
	text  string
	words func(name func(DType) string) string
}

func (w *worded) Error() string { return w.text }

// Reword returns an error of the same kinds as err, in which a wrapped [Worded] error names element types
// by name.
func Reword(err error, name func(DType) string) error {
	if err == nil {
		return nil
	}
	var w *worded
	if !errors.As(err, &w) {
		return err
	}
	return reworded{err, strings.Replace(err.Error(), w.text, w.words(name), 1)}
}

type reworded struct {
	error
	text string
}

func (r reworded) Error() string { return r.text }
func (r reworded) Unwrap() error { return r.error }

// shownSizes bounds the dimensions of a client's shape that an error quotes.
const shownSizes = 16
