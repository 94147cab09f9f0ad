package pure

// Reductions over axes; ArgMax and ArgMin.

import (
	"errors"
	"math"
)

// reduction folds the elements of each group into one.
type reduction struct {
	start   float64
	fold    func(sum, x float64) float64
	finish  func(sum float64, n int64) float64
	integer func(sum, x int64) int64 // for integers, where these have it
	first   int64                    // what integers start with
	// largest says that the largest element of each group is subtracted first.
	largest bool
}

var (
	reduceSum       = &reduction{fold: func(s, x float64) float64 { return s + x }, integer: func(s, x int64) int64 { return s + x }}
	reduceMean      = &reduction{fold: func(s, x float64) float64 { return s + x }, finish: func(s float64, n int64) float64 { return s / float64(n) }}
	reduceProd      = &reduction{start: 1, first: 1, fold: func(s, x float64) float64 { return s * x }, integer: func(s, x int64) int64 { return s * x }}
	reduceL1        = &reduction{fold: func(s, x float64) float64 { return s + math.Abs(x) }, integer: func(s, x int64) int64 { return s + absolute(x) }}
	reduceL2        = &reduction{fold: func(s, x float64) float64 { return s + x*x }, finish: func(s float64, _ int64) float64 { return math.Sqrt(s) }}
	reduceSumSquare = &reduction{fold: func(s, x float64) float64 { return s + x*x }, integer: func(s, x int64) int64 { return s + x*x }}
	reduceLogSum    = &reduction{fold: func(s, x float64) float64 { return s + x }, finish: func(s float64, _ int64) float64 { return math.Log(s) }}
	reduceMax       = &reduction{start: math.Inf(-1), first: math.MinInt64, fold: larger[float64], integer: largerOf[int64]}
	reduceMin       = &reduction{start: math.Inf(1), first: math.MaxInt64, fold: smaller[float64], integer: smallerOf[int64]}

	reduceLogSumExp = &reduction{largest: true, fold: func(s, x float64) float64 { return s + math.Exp(x) }, finish: func(s float64, _ int64) float64 { return math.Log(s) }}
)

// reduceOps returns a reduction with its axes as an attribute and, from a version on, as an input.
func reduceOps(asInput int, r *reduction) []operator {
	return []operator{
		{since: 1, until: asInput - 1, inputs: [2]int{1, 1}, outputs: 1, scratch: 1, prepare: func(n *node) (kernel, error) {
			s := n.settings()
			axes, keep := s.integers("axes"), s.integer("keepdims", 1) != 0
			return func(in, out []*value) error { return r.apply(out, in[0], axes, keep) }, s.end()
		}},
		{since: asInput, inputs: [2]int{1, 2}, outputs: 1, scratch: 1, prepare: func(n *node) (kernel, error) {
			s := n.settings()
			keep, none := s.integer("keepdims", 1) != 0, s.integer("noop_with_empty_axes", 0) != 0
			return func(in, out []*value) error {
				var axes []int64
				if in[1] != nil {
					var err error
					if axes, err = in[1].integers(); err != nil {
						return err
					}
				}
				if len(axes) == 0 && none {
					return out[0].copy(in[0], in[0].shape)
				}
				return r.apply(out, in[0], axes, keep)
			}, s.end()
		}},
	}
}

// apply computes the reduction. out[1] is scratch memory for sums.
func (r *reduction) apply(out []*value, in *value, axes []int64, keep bool) error {
	var gone [maxRank]bool
	if len(in.shape) > maxRank {
		return errors.New("its input has too many dimensions")
	}
	for _, a := range axes {
		at, err := axis(a, len(in.shape))
		if err != nil {
			return err
		}
		gone[at] = true
	}
	shape, n := out[0].shape[:0], int64(1)
	var l layout // of the results, in the order of the elements
	step := int64(1)
	for i, d := range in.shape {
		gone[i] = gone[i] || len(axes) == 0
		if gone[i] {
			n *= d
		}
		if !gone[i] || keep {
			if gone[i] {
				d = 1
			}
			shape = append(shape, d)
		}
	}
	for i := len(in.shape) - 1; i >= 0; i-- {
		l.size[i] = in.shape[i]
		if !gone[i] {
			l.step[i] = step
			step *= in.shape[i]
		}
	}
	l.rank = len(in.shape)
	switch x := in.data.(type) {
	case *[]float32:
		return reduceOf(r, out, *x, &l, shape, n)
	case *[]float64:
		return reduceOf(r, out, *x, &l, shape, n)
	case *[]int64:
		return reduceInts(r, out, *x, &l, shape)
	case *[]int32:
		return reduceInts(r, out, *x, &l, shape)
	case *[]uint8:
		return reduceInts(r, out, *x, &l, shape)
	case *[]int8:
		return reduceInts(r, out, *x, &l, shape)
	case *[]bool:
		return reduceBools(r, out, *x, &l, shape)
	}
	return unsupported(in)
}

// reduceBools computes the largest or smallest of booleans: whether any, or every, one is true.
func reduceBools(r *reduction, out []*value, x []bool, l *layout, shape []int64) error {
	if r != reduceMax && r != reduceMin {
		return errors.New("elements of type bool are not supported")
	}
	y, err := allocate[bool](out[0], shape...)
	if err != nil {
		return err
	}
	for i := range y {
		y[i] = r == reduceMin
	}
	k := int64(0)
	if len(x) > 0 {
		l.each(func(at, n, step int64) {
			for range n {
				if x[k] == (r == reduceMax) {
					y[at] = x[k]
				}
				k++
				at += step
			}
		})
	}
	return nil
}

func reduceOf[T float](r *reduction, out []*value, x []T, l *layout, shape []int64, n int64) error {
	y, err := allocate[T](out[0], shape...)
	if err != nil {
		return err
	}
	sums, err := allocate[float64](out[1], int64(len(y)))
	if err != nil {
		return err
	}
	if r.largest {
		most, err := allocate[T](out[0], shape...)
		if err != nil {
			return err
		}
		for i := range most {
			most[i] = T(math.Inf(-1))
		}
		k := int64(0)
		l.each(func(at, n, step int64) {
			for range n {
				if x[k] > most[at] {
					most[at] = x[k]
				}
				k++
				at += step
			}
		})
		for i, m := range most {
			if math.IsInf(float64(m), 0) {
				most[i] = 0
			}
		}
	}
	for i := range sums {
		sums[i] = r.start
	}
	k := int64(0)
	if len(x) > 0 {
		l.each(func(at, n, step int64) {
			for range n {
				v := float64(x[k])
				if r.largest {
					v -= float64(y[at])
				}
				sums[at] = r.fold(sums[at], v)
				k++
				at += step
			}
		})
	}
	for i, s := range sums {
		if r.finish != nil {
			s = r.finish(s, n)
		}
		if r.largest {
			s += float64(y[i])
		}
		y[i] = T(s)
	}
	return nil
}

func reduceInts[T int64 | int32 | uint8 | int8](r *reduction, out []*value, x []T, l *layout, shape []int64) error {
	if r.integer == nil {
		return errors.New("integer elements are not supported")
	}
	y, err := allocate[T](out[0], shape...)
	if err != nil {
		return err
	}
	sums, err := allocate[int64](out[1], int64(len(y)))
	if err != nil {
		return err
	}
	for i := range sums {
		sums[i] = r.first
	}
	k := int64(0)
	if len(x) > 0 {
		l.each(func(at, n, step int64) {
			for range n {
				sums[at] = r.integer(sums[at], int64(x[k]))
				k++
				at += step
			}
		})
	}
	for i, s := range sums {
		y[i] = T(s)
	}
	return nil
}

func argOp(largest bool) operator {
	return operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
		s := n.settings()
		along, keep, last := s.integer("axis", 0), s.integer("keepdims", 1) != 0, s.integer("select_last_index", 0) != 0
		return func(in, out []*value) error {
			at, err := axis(along, len(in[0].shape))
			if err != nil {
				return err
			}
			if in[0].shape[at] == 0 {
				return errors.New("it reduces no elements and has no result")
			}
			switch x := in[0].data.(type) {
			case *[]float32:
				return argOf(out[0], in[0], *x, at, keep, last, largest)
			case *[]float64:
				return argOf(out[0], in[0], *x, at, keep, last, largest)
			case *[]int64:
				return argOf(out[0], in[0], *x, at, keep, last, largest)
			case *[]int32:
				return argOf(out[0], in[0], *x, at, keep, last, largest)
			case *[]uint8:
				return argOf(out[0], in[0], *x, at, keep, last, largest)
			}
			return unsupported(in[0])
		}, s.end()
	}}
}

func argOf[T number](out, in *value, x []T, at int, keep, last, largest bool) error {
	shape := append(out.shape[:0], in.shape[:at]...)
	if keep {
		shape = append(shape, 1)
	}
	shape = append(shape, in.shape[at+1:]...)
	y, err := allocate[int64](out, shape...)
	if err != nil {
		return err
	}
	n, inner := int(in.shape[at]), int(size(in.shape[at+1:]))
	for k := range y {
		first := k/inner*n*inner + k%inner
		best := x[first]
		y[k] = 0
		for i := 1; i < n; i++ {
			v := x[first+i*inner]
			if largest && v > best || !largest && v < best || last && v == best {
				best, y[k] = v, int64(i)
			}
		}
	}
	return nil
}
