package pure

import (
	"fmt"

	"github.com/forgo-ml/forgo/predict/tensor"
)

var gather = operator{since: 1, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	along := s.integer("axis", 0)
	return func(in, out []*value) error {
		at, err := axis(along, len(in[0].shape))
		if err != nil {
			return err
		}
		index, err := in[1].integers()
		if err != nil {
			return err
		}
		return gathered(out[0], in[0], at, index, in[1].shape)
	}, s.end()
}}

// gathered takes the entries of an axis that index names, whose shape takes the axis's place.
func gathered(out, in *value, axis int, index, indexShape []int64) error {
	shape := append(out.shape[:0], in.shape[:axis]...)
	shape = append(shape, indexShape...)
	shape = append(shape, in.shape[axis+1:]...)
	if len(shape) > maxRank {
		return fmt.Errorf("too many dimensions: %d (limit %d)", len(shape), maxRank)
	}
	for _, i := range index {
		if i < -in.shape[axis] || i >= in.shape[axis] {
			return fmt.Errorf("index %d is out of range for a dimension of %d", i, in.shape[axis])
		}
	}
	switch x := in.data.(type) {
	case *[]bool:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]int8:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]int16:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]int32:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]int64:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]uint8:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]uint16:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]uint32:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]uint64:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]float32:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]float64:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]string:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]tensor.Float16Bits:
		return gatherFrom(out, in, *x, axis, index, shape)
	case *[]tensor.BFloat16Bits:
		return gatherFrom(out, in, *x, axis, index, shape)
	}
	return unsupported(in)
}

func gatherFrom[T tensor.Element](out, in *value, x []T, axis int, index, shape []int64) error {
	y, err := allocate[T](out, shape...)
	if err != nil || len(y) == 0 {
		return err
	}
	outer, n, inner := size(in.shape[:axis]), in.shape[axis], size(in.shape[axis+1:])
	k := int64(0)
	for o := range outer {
		for _, i := range index {
			if i < 0 {
				i += n
			}
			from := (o*n + i) * inner
			k += int64(copy(y[k:k+inner], x[from:from+inner]))
		}
	}
	return nil
}
