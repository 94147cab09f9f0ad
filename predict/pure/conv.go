package pure

import (
	"errors"
	"fmt"
)

var conv = operator{since: 1, inputs: [2]int{2, 3}, outputs: 1, scratch: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	group, kernelShape := s.integer("group", 1), s.integers("kernel_shape")
	if group < 1 {
		return nil, fmt.Errorf("its group %d is invalid", group)
	}
	if kernelShape == nil {
		if n.constant[1] == nil || len(n.constant[1].shape) < 3 {
			return nil, errors.New("it has no kernel_shape, and its weights are not constant")
		}
		kernelShape = n.constant[1].shape[2:]
	}
	w, err := readWindow(s, kernelShape)
	if err != nil {
		return nil, err
	}
	p := convLayer(n, w.rank)
	n.layer = p
	return func(in, out []*value) error {
		weights, bias := in[1], in[2]
		if p != nil {
			weights, bias = p.weights, p.bias
		}
		switch x := in[0].data.(type) {
		case *[]float32:
			return convOf(w, group, in[0], weights, bias, activationOf[float32](p), *x, out)
		case *[]float64:
			return convOf(w, group, in[0], weights, bias, activationOf[float64](p), *x, out)
		}
		return unsupported(in[0])
	}, s.end()
}}

// convOf copies what is under the window at each place to the matrix out[1], and multiplies the weights
// with it. It activates the result if that is asked for.
func convOf[T float](w *window, group int64, in, by, plus *value, activate func(y, x []T), x []T, out []*value) error {
	weights, ok := of[T](by)
	if !ok {
		return errTypes
	}
	xs, ws := in.shape, by.shape
	if len(xs) != w.rank+2 || len(ws) != w.rank+2 || xs[1] != ws[1]*group || ws[0]%group != 0 {
		return fmt.Errorf("weights %v do not fit an input %v in %d groups", ws, xs, group)
	}
	for i, k := range ws[2:] {
		if k != w.kernel[i] {
			return fmt.Errorf("weights %v do not fit a window of %v", ws, w.kernel[:w.rank])
		}
	}
	var bias []T
	if plus != nil {
		if bias, ok = of[T](plus); !ok || int64(len(bias)) != ws[0] {
			return fmt.Errorf("its bias does not fit weights %v", ws)
		}
	}
	fit, steps, err := w.over(xs[2:])
	if err != nil {
		return err
	}
	shape := append(out[0].shape[:0], xs[0], ws[0])
	shape = append(shape, steps[:w.rank]...)
	z, err := allocate[T](out[0], shape...)
	if err != nil {
		return err
	}
	positions, plane := size(steps[:w.rank]), size(xs[2:])
	channels, filters := ws[1], ws[0]/group
	under := channels * size(ws[2:])
	columns, err := allocate[T](out[1], under*positions)
	if err != nil || len(z) == 0 {
		return err
	}
	for b := range xs[0] {
		for g := range group {
			first := (b*xs[1] + g*channels) * plane
			layOut(&fit, columns, x[first:first+channels*plane], xs[2:], steps, channels, positions)
			to := z[(b*ws[0]+g*filters)*positions:][:filters*positions]
			for f := range filters {
				fill := T(0)
				if bias != nil {
					fill = bias[g*filters+f]
				}
				row := to[f*positions:][:positions]
				for i := range row {
					row[i] = fill
				}
			}
			of := weights[g*filters*under:][:filters*under]
			if err := multiply(out[0].memory, to, of, columns, int(filters), int(under), int(positions)); err != nil {
				return err
			}
			if activate != nil {
				activate(to, to)
			}
		}
	}
	return nil
}

// layOut writes a row for each element of the window, and a column for each of its places.
func layOut[T float](w *window, columns, x []T, sizes []int64, steps [maxWindow]int64, channels, positions int64) {
	plane, under := size(sizes), int64(1)
	for i := range w.rank {
		under *= w.kernel[i]
	}
	last := w.rank - 1
	lines := positions / steps[last]
	row := int64(0)
	for c := range channels {
		from := x[c*plane:][:plane]
		var k [maxWindow]int64
		for range under {
			to := columns[row*positions:][:positions]
			var at [maxWindow]int64
			for l := range lines {
				line := to[l*steps[last]:][:steps[last]]
				offset, inside := int64(0), true
				for i := range last {
					p := at[i]*w.stride[i] - w.before[i] + k[i]*w.dilate[i]
					inside = inside && p >= 0 && p < sizes[i]
					offset = (offset + p) * sizes[i+1]
				}
				if inside {
					copyLine(line, from[offset:offset+sizes[last]], k[last]*w.dilate[last]-w.before[last], w.stride[last])
				} else {
					clear(line)
				}
				for i := last - 1; i >= 0; i-- {
					if at[i]++; at[i] < steps[i] {
						break
					}
					at[i] = 0
				}
			}
			row++
			for i := last; i >= 0; i-- {
				if k[i]++; k[i] < w.kernel[i] {
					break
				}
				k[i] = 0
			}
		}
	}
}

// copyLine copies every stride-th element from start on, and 0 beyond the line.
func copyLine[T float](to, from []T, start, stride int64) {
	if stride == 1 {
		i := min(int64(len(to)), max(0, -start))
		clear(to[:i])
		if first := start + i; first >= 0 && first < int64(len(from)) {
			i += int64(copy(to[i:], from[first:]))
		}
		clear(to[i:])
		return
	}
	for i := range to {
		p := start + int64(i)*stride
		if p >= 0 && p < int64(len(from)) {
			to[i] = from[p]
		} else {
			to[i] = 0
		}
	}
}
