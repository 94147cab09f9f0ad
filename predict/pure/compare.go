package pure

// Equal, Less, Greater and their like; And, Or, Xor; Where.

import "github.com/forgo-ml/forgo/predict/tensor"

type order int

const (
	lessOrder order = iota
	greaterOrder
)

func compared[T number](o order, orEqual bool) *runs[T, bool] {
	switch {
	case o == lessOrder && orEqual:
		return runsOf(func(x, y T) bool { return x <= y })
	case o == lessOrder:
		return runsOf(func(x, y T) bool { return x < y })
	case orEqual:
		return runsOf(func(x, y T) bool { return x >= y })
	}
	return runsOf(func(x, y T) bool { return x > y })
}

func compareOp(since int, o order, orEqual bool) operator {
	t := tableOf(compared[int8](o, orEqual), compared[int16](o, orEqual), compared[int32](o, orEqual), compared[int64](o, orEqual), compared[uint8](o, orEqual), compared[uint16](o, orEqual), compared[uint32](o, orEqual), compared[uint64](o, orEqual), compared[float32](o, orEqual), compared[float64](o, orEqual))
	return operator{since: since, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
		return func(in, out []*value) error { return t.apply(out[0], in[0], in[1]) }, n.settings().end()
	}}
}

func compareWith[T tensor.Element](out, a, b *value, x []T, f *runs[T, bool]) error {
	y, ok := of[T](b)
	if !ok {
		return errTypes
	}
	return combine(out, a, b, x, y, f)
}

func same[T comparable](x, y T) bool { return x == y }

var equal = operator{since: 7, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error { return equalLoops.apply(out[0], in[0], in[1]) }, n.settings().end()
}}

var equalLoops = equalTable()

func equalTable() *table {
	t := tableOf(runsOf(same[int8]), runsOf(same[int16]), runsOf(same[int32]), runsOf(same[int64]), runsOf(same[uint8]), runsOf(same[uint16]), runsOf(same[uint32]), runsOf(same[uint64]), runsOf(same[float32]), runsOf(same[float64]))
	t[kindBool], t[kindString] = over(runsOf(same[bool])), over(runsOf(same[string]))
	return t
}

func logicOp(f func(a, b bool) bool) operator {
	loops := runsOf(f)
	return operator{since: 7, inputs: [2]int{2, 2}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
		return func(in, out []*value) error {
			x, ok := of[bool](in[0])
			if !ok {
				return unsupported(in[0])
			}
			return compareWith(out[0], in[0], in[1], x, loops)
		}, n.settings().end()
	}}
}

var where = operator{since: 9, inputs: [2]int{3, 3}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		condition, ok := of[bool](in[0])
		if !ok {
			return unsupported(in[0])
		}
		switch x := in[1].data.(type) {
		case *[]bool:
			return choose(out[0], in, condition, *x)
		case *[]int8:
			return choose(out[0], in, condition, *x)
		case *[]int16:
			return choose(out[0], in, condition, *x)
		case *[]int32:
			return choose(out[0], in, condition, *x)
		case *[]int64:
			return choose(out[0], in, condition, *x)
		case *[]uint8:
			return choose(out[0], in, condition, *x)
		case *[]uint16:
			return choose(out[0], in, condition, *x)
		case *[]uint32:
			return choose(out[0], in, condition, *x)
		case *[]uint64:
			return choose(out[0], in, condition, *x)
		case *[]float32:
			return choose(out[0], in, condition, *x)
		case *[]float64:
			return choose(out[0], in, condition, *x)
		case *[]string:
			return choose(out[0], in, condition, *x)
		case *[]tensor.Float16Bits:
			return choose(out[0], in, condition, *x)
		case *[]tensor.BFloat16Bits:
			return choose(out[0], in, condition, *x)
		}
		return unsupported(in[1])
	}, n.settings().end()
}}

// choose takes elements of one tensor or another, all three in their common shape.
func choose[T tensor.Element](out *value, in []*value, condition []bool, x []T) error {
	y, ok := of[T](in[2])
	if !ok {
		return errTypes
	}
	shape, err := broadcastShape(nil, in[1].shape, in[2].shape)
	if err != nil {
		return err
	}
	if shape, err = broadcastShape(nil, shape, in[0].shape); err != nil {
		return err
	}
	z, err := allocate[T](out, shape...)
	if err != nil {
		return err
	}
	c, l, r := newWalk(shape, in[0].shape), newWalk(shape, in[1].shape), newWalk(shape, in[2].shape)
	for i := range z {
		if condition[c.at] {
			z[i] = x[l.at]
		} else {
			z[i] = y[r.at]
		}
		c.next()
		l.next()
		r.next()
	}
	return nil
}

// walk goes through a tensor in the order of a shape that it is repeated to.
type walk struct {
	at    int64
	rank  int
	size  [maxRank]int64
	step  [maxRank]int64
	index [maxRank]int64
}

func newWalk(shape, of []int64) *walk {
	w := &walk{rank: len(shape)}
	step := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		w.size[i] = shape[i]
		n := sizeAt(of, len(shape), i)
		if n != 1 {
			w.step[i] = step
		}
		step *= n
	}
	return w
}

func (w *walk) next() {
	for d := w.rank - 1; d >= 0; d-- {
		w.index[d]++
		w.at += w.step[d]
		if w.index[d] < w.size[d] {
			return
		}
		w.at -= w.step[d] * w.size[d]
		w.index[d] = 0
	}
}
