package pure

// Operators that only change a shape, and those that make tensors of shapes: Reshape, Flatten,
// Squeeze, Unsqueeze, Identity, Dropout; Shape, Constant, ConstantOfShape.

import (
	"errors"
	"fmt"
	"slices"

	"github.com/forgo-ml/forgo/predict/tensor"
)

var identity = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, alias: true, view: func(n *node) (shaper, error) {
	return unchanged, n.settings().end()
}}

func unchanged(in []*value, shape []int64) ([]int64, error) {
	return append(shape, in[0].shape...), nil
}

// Dropout does nothing but in training; its mask keeps everything.
var (
	dropout7  = operator{since: 7, until: 11, inputs: [2]int{1, 1}, outputs: 2, prepare: dropout}
	dropout12 = operator{since: 12, inputs: [2]int{1, 3}, outputs: 2, prepare: dropout}
)

func dropout(n *node) (kernel, error) {
	s := n.settings()
	s.ignore("seed", "ratio")
	return func(in, out []*value) error {
		if len(in) > 2 && in[2] != nil {
			if training, ok := of[bool](in[2]); !ok || len(training) != 1 || training[0] {
				return errors.New("its training mode is not supported")
			}
		}
		if out[1] != nil {
			mask, err := allocate[bool](out[1], in[0].shape...)
			if err != nil {
				return err
			}
			for i := range mask {
				mask[i] = true
			}
		}
		return out[0].copy(in[0], in[0].shape)
	}, s.end()
}

var reshape = operator{since: 5, inputs: [2]int{2, 2}, outputs: 1, view: func(n *node) (shaper, error) {
	s := n.settings()
	keepZero := s.integer("allowzero", 0) != 0
	return func(in []*value, shape []int64) ([]int64, error) {
		want, err := in[1].integers()
		if err != nil {
			return shape, err
		}
		free, known := -1, int64(1)
		for i, d := range want {
			if d == 0 && !keepZero {
				if i >= len(in[0].shape) {
					return shape, fmt.Errorf("shape %v keeps a dimension that %v does not have", want, in[0].shape)
				}
				d = in[0].shape[i]
			}
			switch {
			case d >= 0:
				known *= d
			case d == -1 && free < 0:
				free = i
			default:
				return shape, fmt.Errorf("shape %v is invalid", want)
			}
			shape = append(shape, d)
		}
		if free >= 0 {
			if known <= 0 {
				return shape, fmt.Errorf("shape %v leaves dimension %d open", want, free)
			}
			shape[free] = int64(in[0].count()) / known
		}
		return shape, nil
	}, s.end()
}}

var flatten = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, view: func(n *node) (shaper, error) {
	s := n.settings()
	at := s.integer("axis", 1)
	return func(in []*value, shape []int64) ([]int64, error) {
		x := in[0].shape
		k := at
		if k < 0 {
			k += int64(len(x))
		}
		if k < 0 || k > int64(len(x)) {
			return shape, fmt.Errorf("axis %d is out of range for %d dimensions", at, len(x))
		}
		return append(shape, size(x[:k]), size(x[k:])), nil
	}, s.end()
}}

func squeezed(in *value, axes, shape []int64) ([]int64, error) {
	rank := len(in.shape)
	if axes == nil {
		for _, d := range in.shape {
			if d != 1 {
				shape = append(shape, d)
			}
		}
		return shape, nil
	}
	var gone [maxRank]bool
	for _, a := range axes {
		i, err := axis(a, min(rank, maxRank))
		if err != nil {
			return shape, err
		}
		if in.shape[i] != 1 {
			return shape, fmt.Errorf("dimension %d of %v is not 1", i, in.shape)
		}
		gone[i] = true
	}
	for i, d := range in.shape {
		if i >= maxRank || !gone[i] {
			shape = append(shape, d)
		}
	}
	return shape, nil
}

var squeeze1 = operator{since: 1, until: 12, inputs: [2]int{1, 1}, outputs: 1, view: func(n *node) (shaper, error) {
	s := n.settings()
	axes := s.integers("axes")
	return func(in []*value, shape []int64) ([]int64, error) { return squeezed(in[0], axes, shape) }, s.end()
}}

var squeeze13 = operator{since: 13, inputs: [2]int{1, 2}, outputs: 1, view: func(n *node) (shaper, error) {
	return func(in []*value, shape []int64) ([]int64, error) {
		if in[1] == nil {
			return squeezed(in[0], nil, shape)
		}
		axes, err := in[1].integers()
		if err != nil {
			return shape, err
		}
		if len(axes) == 0 {
			return append(shape, in[0].shape...), nil
		}
		return squeezed(in[0], axes, shape)
	}, n.settings().end()
}}

func unsqueezed(in *value, axes, shape []int64) ([]int64, error) {
	rank := len(in.shape) + len(axes)
	if rank > maxRank {
		return shape, fmt.Errorf("too many dimensions: %d (limit %d)", rank, maxRank)
	}
	var added [maxRank]bool
	for _, a := range axes {
		i, err := axis(a, rank)
		if err != nil {
			return shape, err
		}
		if added[i] {
			return shape, fmt.Errorf("axes %v name one twice", axes)
		}
		added[i] = true
	}
	next := 0
	for i := range rank {
		if added[i] {
			shape = append(shape, 1)
			continue
		}
		shape = append(shape, in.shape[next])
		next++
	}
	return shape, nil
}

var unsqueeze1 = operator{since: 1, until: 12, inputs: [2]int{1, 1}, outputs: 1, view: func(n *node) (shaper, error) {
	s := n.settings()
	axes := s.integers("axes")
	return func(in []*value, shape []int64) ([]int64, error) { return unsqueezed(in[0], axes, shape) }, s.end()
}}

var unsqueeze13 = operator{since: 13, inputs: [2]int{2, 2}, outputs: 1, view: func(n *node) (shaper, error) {
	return func(in []*value, shape []int64) ([]int64, error) {
		axes, err := in[1].integers()
		if err != nil {
			return shape, err
		}
		return unsqueezed(in[0], axes, shape)
	}, n.settings().end()
}}

var shapeOp = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	first, end, hasEnd := s.integer("start", 0), s.integer("end", 0), s.has("end")
	return func(in, out []*value) error {
		rank := int64(len(in[0].shape))
		from, to := clampAxis(first, rank), rank
		if hasEnd {
			to = max(from, clampAxis(end, rank))
		}
		y, err := allocate[int64](out[0], to-from)
		if err == nil {
			copy(y, in[0].shape[from:to])
		}
		return err
	}, s.end()
}}

func clampAxis(a, rank int64) int64 {
	if a < 0 {
		a += rank
	}
	return max(0, min(rank, a))
}

var constantOp = operator{since: 1, inputs: [2]int{0, 0}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	t := s.value("value")
	var err error
	switch {
	case t != nil:
	case s.has("value_float"):
		t, err = constant(tensor.Tensor{Shape: []int64{}, Data: []float32{s.float("value_float", 0)}})
	case s.has("value_floats"):
		t, err = list(s.floats("value_floats"))
	case s.has("value_int"):
		t, err = constant(tensor.Tensor{Shape: []int64{}, Data: []int64{s.integer("value_int", 0)}})
	case s.has("value_ints"):
		t, err = list(s.integers("value_ints"))
	case s.has("value_string"):
		t, err = constant(tensor.Tensor{Shape: []int64{}, Data: []string{s.text("value_string", "")}})
	case s.has("value_strings"):
		t, err = list(s.strings("value_strings"))
	default:
		err = errors.New("it has no supported value")
	}
	if err != nil {
		return nil, err
	}
	return func(_, out []*value) error { return out[0].copy(t, t.shape) }, s.end()
}}

// list is a constant of one dimension.
func list[T tensor.Element](data []T) (*value, error) {
	return constant(tensor.Tensor{Shape: []int64{int64(len(data))}, Data: slices.Clone(data)})
}

var constantOfShape = operator{since: 9, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	fill := s.value("value")
	if fill == nil {
		fill = &value{}
		share(fill, []float32{0})
	}
	if fill.count() != 1 {
		return nil, errors.New("its value is not one element")
	}
	return func(in, out []*value) error {
		shape, err := in[0].integers()
		if err != nil {
			return err
		}
		var l layout
		for _, d := range shape {
			if err := l.add(d, 0); err != nil {
				return err
			}
		}
		return take(out[0], fill, &l, shape)
	}, s.end()
}}
