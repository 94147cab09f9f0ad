package pure

// Softmax and LogSoftmax. Up to version 12 everything from the axis on is one group.

import "math"

func softmaxOp(since, until int, logarithm bool) operator {
	return operator{since: since, until: until, inputs: [2]int{1, 1}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
		s := n.settings()
		otherwise := int64(-1)
		if until != 0 {
			otherwise = 1
		}
		along := s.integer("axis", otherwise)
		return func(in, out []*value) error {
			x := in[0].shape
			at, err := axis(along, max(1, len(x)))
			if err != nil {
				return err
			}
			group, inner := int64(1), int64(1)
			switch {
			case len(x) == 0:
			case until != 0:
				group = size(x[at:])
			default:
				group, inner = x[at], size(x[at+1:])
			}
			switch data := in[0].data.(type) {
			case *[]float32:
				return softmax(out[0], in[0], *data, int(group), int(inner), logarithm)
			case *[]float64:
				return softmax(out[0], in[0], *data, int(group), int(inner), logarithm)
			}
			return unsupported(in[0])
		}, s.end()
	}}
}

// softmax normalizes groups of n elements that are inner apart.
func softmax[T float](out, in *value, x []T, n, inner int, logarithm bool) error {
	y, err := allocate[T](out, in.shape...)
	if err != nil || len(y) == 0 {
		return err
	}
	for start := 0; start < len(x); start += n * inner {
		for i := start; i < start+inner; i++ {
			most := x[i]
			for j := 1; j < n; j++ {
				most = max(most, x[i+j*inner])
			}
			sum := 0.0
			for j := range n {
				d := x[i+j*inner] - most
				e := math.Exp(float64(d))
				sum += e
				if logarithm {
					y[i+j*inner] = d
				} else {
					y[i+j*inner] = T(e)
				}
			}
			if logarithm {
				sum = math.Log(sum)
			}
			for j := range n {
				if logarithm {
					y[i+j*inner] -= T(sum)
				} else {
					y[i+j*inner] = T(float64(y[i+j*inner]) / sum)
				}
			}
		}
	}
	return nil
}
