package pure

// MaxPool, AveragePool and their global forms; BatchNormalization.

import (
	"errors"
	"fmt"
	"math"
)

var maxPool = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	s.ignore("storage_order") // for the indices only
	return poolKernel(n, s, false, false)
}}

var averagePool = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	return poolKernel(n, s, true, s.integer("count_include_pad", 0) != 0)
}}

func poolKernel(_ *node, s *settings, average, withPads bool) (kernel, error) {
	shape := s.integers("kernel_shape")
	if shape == nil {
		return nil, errors.New("it has no kernel_shape")
	}
	w, err := readWindow(s, shape)
	if err != nil {
		return nil, err
	}
	w.ceil = s.integer("ceil_mode", 0) != 0
	return func(in, out []*value) error {
		switch x := in[0].data.(type) {
		case *[]float32:
			return poolOf(w, out[0], in[0], *x, float32(math.Inf(-1)), average, withPads)
		case *[]float64:
			return poolOf(w, out[0], in[0], *x, math.Inf(-1), average, withPads)
		case *[]uint8:
			if !average {
				return poolOf(w, out[0], in[0], *x, 0, average, withPads)
			}
		case *[]int8:
			if !average {
				return poolOf(w, out[0], in[0], *x, math.MinInt8, average, withPads)
			}
		}
		return unsupported(in[0])
	}, s.end()
}

func poolOf[T number](w *window, out, in *value, x []T, least T, average, withPads bool) error {
	if len(in.shape) != w.rank+2 {
		return fmt.Errorf("an input %v does not fit a window of %d dimensions", in.shape, w.rank)
	}
	sizes := in.shape[2:]
	fit, steps, err := w.over(sizes)
	if err != nil {
		return err
	}
	shape := append(out.shape[:0], in.shape[:2]...)
	y, err := allocate[T](out, append(shape, steps[:w.rank]...)...)
	if err != nil || len(y) == 0 {
		return err
	}
	plane, positions := int(size(sizes)), int(size(steps[:w.rank]))
	for c := range len(y) / positions {
		from, to := x[c*plane:][:plane], y[c*positions:][:positions]
		var at [maxWindow]int64
		for i := range to {
			if err := out.memory.ended(); err != nil {
				return err
			}
			to[i] = poolAt(&fit, from, sizes, at, least, average, withPads)
			for d := w.rank - 1; d >= 0; d-- {
				if at[d]++; at[d] < steps[d] {
					break
				}
				at[d] = 0
			}
		}
	}
	return nil
}

func poolAt[T number](w *window, x []T, sizes []int64, at [maxWindow]int64, least T, average, withPads bool) T {
	most, sum, n := least, 0.0, int64(0)
	w.positions(sizes, at, func(offset int64) {
		n++
		if average {
			sum += float64(x[offset])
		} else if v := x[offset]; v > most || v != v {
			most = v
		}
	})
	if !average {
		return most
	}
	if withPads {
		n = w.counted(sizes, at)
	}
	return T(sum / float64(n))
}

// counted is how many elements of a window lie on the picture or its pads.
func (w *window) counted(sizes []int64, at [maxWindow]int64) int64 {
	n := int64(1)
	for i := range w.rank {
		inside := int64(0)
		for k := range w.kernel[i] {
			if p := at[i]*w.stride[i] - w.before[i] + k*w.dilate[i]; p < sizes[i]+w.after[i] {
				inside++
			}
		}
		n *= inside
	}
	return n
}

var (
	globalAveragePool = globalPool(true)
	globalMaxPool     = globalPool(false)
)

func globalPool(average bool) operator {
	return operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
		return func(in, out []*value) error {
			switch x := in[0].data.(type) {
			case *[]float32:
				return globalOf(out[0], in[0], *x, average)
			case *[]float64:
				return globalOf(out[0], in[0], *x, average)
			}
			return unsupported(in[0])
		}, n.settings().end()
	}}
}

func globalOf[T float](out, in *value, x []T, average bool) error {
	if len(in.shape) < 3 {
		return fmt.Errorf("an input %v has nothing to pool", in.shape)
	}
	shape := append(out.shape[:0], in.shape[:2]...)
	for range in.shape[2:] {
		shape = append(shape, 1)
	}
	y, err := allocate[T](out, shape...)
	if err != nil || len(y) == 0 {
		return err
	}
	plane := int(size(in.shape[2:]))
	if plane == 0 {
		return errors.New("it reduces no elements and has no result")
	}
	for c := range y {
		from := x[c*plane:][:plane]
		sum, most := 0.0, from[0]
		for _, v := range from {
			sum += float64(v)
			most = larger(most, v)
		}
		if y[c] = most; average {
			y[c] = T(sum / float64(plane))
		}
	}
	return nil
}

var batchNormalization = operator{since: 9, inputs: [2]int{5, 5}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	epsilon := float64(s.float("epsilon", 1e-5))
	s.ignore("momentum")
	if s.integer("training_mode", 0) != 0 {
		return nil, errors.New("its training mode is not supported")
	}
	return func(in, out []*value) error {
		switch x := in[0].data.(type) {
		case *[]float32:
			return normalizeOf(out[0], in, *x, epsilon)
		case *[]float64:
			return normalizeOf(out[0], in, *x, epsilon)
		}
		return unsupported(in[0])
	}, s.end()
}}

func normalizeOf[T float](out *value, in []*value, x []T, epsilon float64) error {
	shape := in[0].shape
	if len(shape) < 2 {
		return fmt.Errorf("an input %v has no channels", shape)
	}
	var of4 [4][]T
	for i := range of4 {
		var ok bool
		if of4[i], ok = of[T](in[i+1]); !ok || int64(len(of4[i])) != shape[1] {
			return fmt.Errorf("its %s do not fit an input %v", [4]string{"scale", "bias", "mean", "variance"}[i], shape)
		}
	}
	y, err := allocate[T](out, shape...)
	if err != nil || len(y) == 0 {
		return err
	}
	plane, channels := int(size(shape[2:])), int(shape[1])
	for c := range len(y) / plane {
		k := c % channels
		by := float64(of4[0][k]) / math.Sqrt(float64(of4[3][k])+epsilon)
		plus := float64(of4[1][k]) - float64(of4[2][k])*by
		from, to := x[c*plane:][:plane], y[c*plane:][:plane]
		for i, v := range from {
			to[i] = T(float64(v)*by + plus)
		}
	}
	return nil
}
