package pure

// Clip and PRelu.

import "math"

var clip6 = operator{since: 6, until: 10, inputs: [2]int{1, 1}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	least, most := s.float("min", -math.MaxFloat32), s.float("max", math.MaxFloat32)
	wideLeast, wideMost := float64(least), float64(most)
	n.loops = &loops{f32: clipped(&least, &most), f64: clipped(&wideLeast, &wideMost)}
	return func(in, out []*value) error { return n.loops.apply(out[0], in[0]) }, s.end()
}}

var clip11 = operator{since: 11, inputs: [2]int{1, 3}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
	if least, most := n.constant[1], n.constant[2]; (least != nil || n.in[1] == "") && (most != nil || n.in[2] == "") {
		n.loops = &loops{f32: clippedTo[float32](least, most), f64: clippedTo[float64](least, most)}
	}
	return func(in, out []*value) error {
		switch x := in[0].data.(type) {
		case *[]float32:
			return clipTo(out[0], in, *x)
		case *[]float64:
			return clipTo(out[0], in, *x)
		case *[]int64:
			return clipTo(out[0], in, *x)
		case *[]int32:
			return clipTo(out[0], in, *x)
		case *[]int8:
			return clipTo(out[0], in, *x)
		case *[]int16:
			return clipTo(out[0], in, *x)
		case *[]uint8:
			return clipTo(out[0], in, *x)
		case *[]uint16:
			return clipTo(out[0], in, *x)
		case *[]uint32:
			return clipTo(out[0], in, *x)
		case *[]uint64:
			return clipTo(out[0], in, *x)
		}
		return unsupported(in[0])
	}, n.settings().end()
}}

func clipTo[T number](out *value, in []*value, x []T) error {
	least, err := one[T](in[1])
	if err != nil {
		return err
	}
	most, err := one[T](in[2])
	if err != nil {
		return err
	}
	return each1(out, in[0], x, clipped(least, most))
}

// clippedTo returns the loop of bounds that are constant, nil if they have another type.
func clippedTo[T number](least, most *value) func(y, x []T) {
	l, err := one[T](least)
	m, err2 := one[T](most)
	if err != nil || err2 != nil {
		return nil
	}
	return clipped(l, m)
}

// one returns the single element of v, nil where v is left out.
func one[T number](v *value) (*T, error) {
	if v == nil {
		return nil, nil
	}
	x, ok := of[T](v)
	if !ok || len(x) != 1 {
		return nil, errTypes
	}
	return &x[0], nil
}

// clipped returns the loop that keeps elements within bounds, either of which may be nil.
func clipped[T number](least, most *T) func(y, x []T) {
	return func(y, x []T) {
		for i, v := range x {
			if least != nil && v < *least {
				v = *least
			}
			if most != nil && v > *most {
				v = *most
			}
			y[i] = v
		}
	}
}

var prelu = operator{since: 7, inputs: [2]int{2, 2}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error { return preluLoops.apply(out[0], in[0], in[1]) }, n.settings().end()
}}

func leak[T number](x, slope T) T {
	if x < 0 {
		return x * slope
	}
	return x
}

var preluLoops = tableOf(runsOf(leak[int8]), runsOf(leak[int16]), runsOf(leak[int32]), runsOf(leak[int64]), runsOf(leak[uint8]), runsOf(leak[uint16]), runsOf(leak[uint32]), runsOf(leak[uint64]), runsOf(leak[float32]), runsOf(leak[float64]))
