package pure

// Range and CumSum.

import (
	"errors"
	"math"
)

var rangeOp = operator{since: 11, inputs: [2]int{3, 3}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		switch in[0].data.(type) {
		case *[]int32:
			return ranged[int32](out[0], in)
		case *[]int64:
			return ranged[int64](out[0], in)
		case *[]float32:
			return ranged[float32](out[0], in)
		case *[]float64:
			return ranged[float64](out[0], in)
		}
		return unsupported(in[0])
	}, n.settings().end()
}}

func ranged[T int32 | int64 | float32 | float64](out *value, in []*value) error {
	var values [3]T
	for i := range values {
		x, ok := of[T](in[i])
		if !ok || len(x) != 1 {
			return errors.New("its start, limit and step must be one number each, of one type")
		}
		values[i] = x[0]
	}
	start, limit, step := values[0], values[1], values[2]
	if step == 0 {
		return errors.New("its step is 0")
	}
	n := math.Ceil((float64(limit) - float64(start)) / float64(step))
	if !(n < maxMemory) { // NaN too
		return errMemory
	}
	y, err := allocate[T](out, int64(max(0, n)))
	if err != nil {
		return err
	}
	for i := range y {
		y[i] = start
		start += step
	}
	return nil
}

var cumSum = operator{since: 11, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	exclusive, reverse := s.integer("exclusive", 0) != 0, s.integer("reverse", 0) != 0
	return func(in, out []*value) error {
		along, err := in[1].integers()
		if err != nil {
			return err
		}
		if len(along) != 1 {
			return errors.New("its axis is not one number")
		}
		at, err := axis(along[0], len(in[0].shape))
		if err != nil {
			return err
		}
		switch x := in[0].data.(type) {
		case *[]int32:
			return summedUp(out[0], in[0], *x, at, exclusive, reverse)
		case *[]int64:
			return summedUp(out[0], in[0], *x, at, exclusive, reverse)
		case *[]float32:
			return summedUp(out[0], in[0], *x, at, exclusive, reverse)
		case *[]float64:
			return summedUp(out[0], in[0], *x, at, exclusive, reverse)
		}
		return unsupported(in[0])
	}, s.end()
}}

func summedUp[T number](out, in *value, x []T, axis int, exclusive, reverse bool) error {
	y, err := allocate[T](out, in.shape...)
	if err != nil {
		return err
	}
	n, inner := int(in.shape[axis]), int(size(in.shape[axis+1:]))
	for o := 0; o < len(x); o += max(1, n*inner) {
		for k := range inner {
			var sum T
			for i := range n {
				at := o + i*inner + k
				if reverse {
					at = o + (n-1-i)*inner + k
				}
				if exclusive {
					y[at] = sum
				}
				sum += x[at]
				if !exclusive {
					y[at] = sum
				}
			}
		}
	}
	return nil
}
