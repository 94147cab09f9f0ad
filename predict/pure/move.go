package pure

// Moving elements: the shared part of Transpose, Slice, Expand, Tile, Pad, Concat and Split.

import (
	"fmt"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// layout says where elements are: at start, plus a step for each index of a dimension.
type layout struct {
	rank       int
	size, step [maxRank]int64
	start      int64
}

// add appends a dimension.
func (l *layout) add(size, step int64) error {
	if l.rank == maxRank {
		return fmt.Errorf("more than %d dimensions are not supported", maxRank)
	}
	l.size[l.rank], l.step[l.rank] = size, step
	l.rank++
	return nil
}

// steps computes the distances between the elements of each dimension of a shape.
func steps(shape []int64, into *[maxRank]int64) error {
	if len(shape) > maxRank {
		return fmt.Errorf("too many dimensions: %d (limit %d)", len(shape), maxRank)
	}
	step := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		into[i] = step
		step *= shape[i]
	}
	return nil
}

// take fills out, of the given shape, with the elements of in that l walks through.
func take(out, in *value, l *layout, shape []int64) error {
	switch x := in.data.(type) {
	case *[]bool:
		return takeFrom(out, *x, l, shape)
	case *[]int8:
		return takeFrom(out, *x, l, shape)
	case *[]int16:
		return takeFrom(out, *x, l, shape)
	case *[]int32:
		return takeFrom(out, *x, l, shape)
	case *[]int64:
		return takeFrom(out, *x, l, shape)
	case *[]uint8:
		return takeFrom(out, *x, l, shape)
	case *[]uint16:
		return takeFrom(out, *x, l, shape)
	case *[]uint32:
		return takeFrom(out, *x, l, shape)
	case *[]uint64:
		return takeFrom(out, *x, l, shape)
	case *[]float32:
		return takeFrom(out, *x, l, shape)
	case *[]float64:
		return takeFrom(out, *x, l, shape)
	case *[]string:
		return takeFrom(out, *x, l, shape)
	case *[]tensor.Float16Bits:
		return takeFrom(out, *x, l, shape)
	case *[]tensor.BFloat16Bits:
		return takeFrom(out, *x, l, shape)
	}
	return unsupported(in)
}

func takeFrom[T tensor.Element](out *value, x []T, l *layout, shape []int64) error {
	y, err := allocate[T](out, shape...)
	if err != nil || len(y) == 0 {
		return err
	}
	k := int64(0)
	l.each(func(at, n, step int64) {
		if step == 1 {
			k += int64(copy(y[k:k+n], x[at:at+n]))
			return
		}
		for range n {
			y[k] = x[at]
			at += step
			k++
		}
	})
	return nil
}

// put writes the elements of in, in order, to the places in out that l walks through.
func put(out, in *value, l *layout) error {
	switch x := in.data.(type) {
	case *[]bool:
		return putInto(out, *x, l)
	case *[]int8:
		return putInto(out, *x, l)
	case *[]int16:
		return putInto(out, *x, l)
	case *[]int32:
		return putInto(out, *x, l)
	case *[]int64:
		return putInto(out, *x, l)
	case *[]uint8:
		return putInto(out, *x, l)
	case *[]uint16:
		return putInto(out, *x, l)
	case *[]uint32:
		return putInto(out, *x, l)
	case *[]uint64:
		return putInto(out, *x, l)
	case *[]float32:
		return putInto(out, *x, l)
	case *[]float64:
		return putInto(out, *x, l)
	case *[]string:
		return putInto(out, *x, l)
	case *[]tensor.Float16Bits:
		return putInto(out, *x, l)
	case *[]tensor.BFloat16Bits:
		return putInto(out, *x, l)
	}
	return unsupported(in)
}

func putInto[T tensor.Element](out *value, x []T, l *layout) error {
	y, ok := of[T](out)
	if !ok {
		return errTypes
	}
	if len(x) == 0 {
		return nil
	}
	k := int64(0)
	l.each(func(at, n, step int64) {
		if step == 1 {
			k += int64(copy(y[at:at+n], x[k:k+n]))
			return
		}
		for range n {
			y[at] = x[k]
			at += step
			k++
		}
	})
	return nil
}

// each calls visit for each stretch along the last dimension, in order.
func (l *layout) each(visit func(at, n, step int64)) {
	if l.rank == 0 {
		visit(l.start, 1, 1)
		return
	}
	for d := range l.rank {
		if l.size[d] == 0 {
			return
		}
	}
	last := l.rank - 1
	var index [maxRank]int64
	at := l.start
	for {
		visit(at, l.size[last], l.step[last])
		d := last - 1
		for ; d >= 0; d-- {
			index[d]++
			at += l.step[d]
			if index[d] < l.size[d] {
				break
			}
			at -= l.step[d] * l.size[d]
			index[d] = 0
		}
		if d < 0 {
			return
		}
	}
}

// makeLike gives out a shape, and elements of in's type.
func makeLike(out, in *value, shape []int64) error {
	var err error
	switch in.data.(type) {
	case *[]bool:
		_, err = allocate[bool](out, shape...)
	case *[]int8:
		_, err = allocate[int8](out, shape...)
	case *[]int16:
		_, err = allocate[int16](out, shape...)
	case *[]int32:
		_, err = allocate[int32](out, shape...)
	case *[]int64:
		_, err = allocate[int64](out, shape...)
	case *[]uint8:
		_, err = allocate[uint8](out, shape...)
	case *[]uint16:
		_, err = allocate[uint16](out, shape...)
	case *[]uint32:
		_, err = allocate[uint32](out, shape...)
	case *[]uint64:
		_, err = allocate[uint64](out, shape...)
	case *[]float32:
		_, err = allocate[float32](out, shape...)
	case *[]float64:
		_, err = allocate[float64](out, shape...)
	case *[]string:
		_, err = allocate[string](out, shape...)
	case *[]tensor.Float16Bits:
		_, err = allocate[tensor.Float16Bits](out, shape...)
	case *[]tensor.BFloat16Bits:
		_, err = allocate[tensor.BFloat16Bits](out, shape...)
	default:
		err = unsupported(in)
	}
	return err
}
