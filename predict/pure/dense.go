package pure

// The product of rows with a constant matrix, and what is fused with it.

import (
	"errors"
	"slices"
)

// activationOf returns a product's activation for one type, nil if it has none.
func activationOf[T float](p *layer) func(y, x []T) {
	if p == nil || p.activation == nil {
		return nil
	}
	if loop, ok := any(p.activation.f32).(func(y, x []T)); ok {
		return loop
	}
	return any(p.activation.f64).(func(y, x []T))
}

// dense computes the rows of x times a constant matrix, plus the bias, and activates them.
func dense[T float](p *layer, in, out *value, x []T) error {
	weights, ok := of[T](p.weights)
	if !ok {
		return errTypes
	}
	var bias []T
	if p.bias != nil {
		bias, _ = of[T](p.bias)
	}
	if len(in.shape) == 0 {
		return errors.New("a scalar is not a matrix")
	}
	k, n, last := int(p.weights.shape[0]), p.channels, len(in.shape)-1
	if in.shape[last] != int64(k) || p.rank > 0 && len(in.shape) != p.rank {
		return errFit(in.shape, p.weights.shape)
	}
	shape := append(append(out.shape[:0], in.shape[:last]...), int64(n))
	for len(shape) < p.least {
		shape = slices.Insert(shape, 0, 1)
	}
	z, err := allocate[T](out, shape...)
	if err != nil {
		return err
	}
	activate := activationOf[T](p)
	const near = 1 << 12 // elements that are activated while they are in the processor's cache
	block := max(1, near/max(n, 1)) * n
	for len(z) > 0 {
		to := z[:min(block, len(z))]
		rows := len(to) / n
		if bias == nil {
			clear(to)
		}
		for i := 0; i < len(to) && bias != nil; i += n {
			copy(to[i:i+n], bias)
		}
		if err := multiply(out.memory, to, x[:rows*k], weights, rows, k, n); err != nil {
			return err
		}
		if activate != nil {
			activate(to, to)
		}
		z, x = z[len(to):], x[rows*k:]
	}
	return nil
}

// run is the kernel of a product with a matrix.
func (p *layer) run(in, out []*value) error {
	switch x := in[0].data.(type) {
	case *[]float32:
		return dense(p, in[0], out[0], *x)
	case *[]float64:
		return dense(p, in[0], out[0], *x)
	}
	return unsupported(in[0])
}
