package tensor

import (
	"errors"
	"fmt"
	"strings"
)

// Spec describes one input or output of a model: what a tensor must look like.
type Spec struct {
	Name string
	DType
	// Shape has -1 for a free dimension; the first is the batch. It is nil where even the
	// number of dimensions is free, and empty for a scalar.
	Shape []int64
}

// Without returns the spec without up to n sizes at the end of its shape that are 1; it keeps the
// batch.
func (s Spec) Without(n int) Spec {
	for ; n > 0 && len(s.Shape) > 1 && s.Shape[len(s.Shape)-1] == 1; n-- {
		s.Shape = s.Shape[:len(s.Shape)-1]
	}
	return s
}

// Match fails unless t has the spec's type and fits its shape.
func (s Spec) Match(t Tensor) error {
	if err := t.Check(); err != nil {
		return fmt.Errorf("tensor %q: %w", s.Name, err)
	}
	if !s.Takes(t.DType(), t.Shape) {
		return s.Unfit(t)
	}
	return nil
}

// Takes reports whether tensors of a type and a shape fit.
func (s Spec) Takes(dtype DType, shape []int64) bool {
	fits := dtype == s.DType && (s.Shape == nil || len(shape) == len(s.Shape))
	for i := 0; fits && i < len(s.Shape); i++ {
		fits = s.Shape[i] < 0 || s.Shape[i] == shape[i]
	}
	return fits
}

// Unfit is the error about a tensor that does not fit; its data is not looked at.
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

// Worded returns an error that names element types, for which a protocol may have names of its
// own: words is given the names to use.
func Worded(words func(name func(DType) string) string) error {
	return &worded{words(func(d DType) string { return string(d) }), words}
}

type worded struct {
	text  string
	words func(name func(DType) string) string
}

func (w *worded) Error() string { return w.text }

// Reword returns an error with another's kinds, in which a [Worded] one it wraps names element
// types as name does.
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

// shownSizes is how many dimensions of a shape that was sent an error quotes.
const shownSizes = 16
