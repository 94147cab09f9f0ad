package pure

// Fusing: a MatMul, Gemm or Conv with constant weights does the work of the nodes that scale its result by channel, add
// a bias, or apply a function to it.

import (
	"errors"
	"math"
	"slices"
)

// layer is what a step multiplies by, and does with the result. Its channels are the columns of a matrix product, and the
// filters of a convolution.
type layer struct {
	weights    *value
	bias       *value // an element for each channel, nil if there is none
	activation *loops // applied at last, nil if there is none
	channels   int
	each       int // adjacent weights of one channel
	behind     int // dimensions of the result behind its channels
	rank       int // of the result, 0 if that depends on the input
	least      int // the result has at least so many dimensions
	memory     *memory
}

// maxChannels bounds the channels of a layer. An empty matrix may claim any number of columns.
const maxChannels = 1 << 20

// denseLayer describes a product with a matrix [k, n], nil unless it is a constant of floats.
func denseLayer(n *node, weights *value, rank int) *layer {
	if weights == nil || len(weights.shape) != 2 || !isFloat(weights) || weights.shape[1] > maxChannels {
		return nil
	}
	return &layer{weights: weights, channels: int(weights.shape[1]), each: 1, rank: rank, memory: n.memory}
}

// convLayer describes a convolution, nil unless its weights are a constant of floats, and its bias is one that fits.
func convLayer(n *node, rank int) *layer {
	w := n.constant[1]
	if w == nil || len(w.shape) != rank+2 || w.shape[0] == 0 || w.shape[0] > maxChannels || !isFloat(w) || n.in[2] != "" && n.constant[2] == nil {
		return nil
	}
	p := &layer{weights: w, channels: int(w.shape[0]), each: w.count() / int(w.shape[0]), behind: rank, rank: rank + 2, memory: n.memory}
	if b := n.constant[2]; b != nil {
		bias := p.channelwise(b, 0)
		if bias == nil || len(b.shape) != 1 || len(bias) != b.count() || !p.affine(nil, bias) {
			return nil
		}
	}
	return p
}

func isFloat(v *value) bool { return v.kind() == kindFloat32 || v.kind() == kindFloat64 }

// uses adds how often each name is read: by the graph's nodes and those of their bodies, and as an output.
func (g *graph) uses(count map[string]int) map[string]int {
	for _, n := range g.nodes {
		for _, name := range n.in {
			count[name]++
		}
		for _, a := range n.attributes {
			if a.g != nil {
				a.g.uses(count)
			}
		}
	}
	for _, out := range g.outputs {
		count[out.Name]++
	}
	return count
}

// fuse lets the step that computes a node's only variable input do the node's work as well, if it can and nothing else
// reads that input.
func (p *plan) fuse(n *node, s *step, at *scope) (bool, error) {
	x := -1
	for i, c := range n.constant {
		switch {
		case c != nil || n.in[i] == "":
		case x >= 0:
			return false, nil
		default:
			x = i
		}
	}
	if x < 0 || at.uses[n.in[x]] != 1 {
		return false, nil
	}
	before := at.layers[s.in[x]]
	if before == nil || before.activation != nil || !before.take(n, x) {
		return false, nil
	}
	return true, at.name(n.out[0], s.in[x])
}

// take adds a node's work to the product, and reports whether that is possible.
func (p *layer) take(n *node, x int) bool {
	if n.loops != nil {
		narrow := p.weights.kind() == kindFloat32
		if x != 0 || narrow && n.loops.f32 == nil || !narrow && n.loops.f64 == nil {
			return false
		}
		p.activation = n.loops
		return true
	}
	if n.domain != "" {
		return false
	}
	if n.op == "BatchNormalization" {
		return p.normalize(n, x)
	}
	if len(n.in) != 2 {
		return false
	}
	c := n.constant[1-x]
	by := p.channelwise(c, p.behind)
	if by == nil {
		return false
	}
	switch {
	case n.op == "Add":
	case n.op == "Sub" && x == 0:
		by = mapped(by, func(c float64) float64 { return -c })
	case n.op == "Mul":
		return p.widen(c) && p.affine(by, nil)
	case n.op == "Div" && x == 0:
		return p.widen(c) && p.affine(mapped(by, func(c float64) float64 { return 1 / c }), nil)
	default:
		return false
	}
	return p.widen(c) && p.affine(nil, by)
}

// widen takes in the dimensions of a constant, which may be more than the result has without it.
func (p *layer) widen(c *value) bool {
	if p.rank > 0 {
		return len(c.shape) <= p.rank
	}
	p.least = max(p.least, len(c.shape))
	return true
}

// channelwise returns the elements of a constant for each channel, nil if they differ along another dimension or would
// repeat the result. Elements of the result lie behind each of its channels in some dimensions.
func (p *layer) channelwise(c *value, behind int) []float64 {
	if c.kind() != p.weights.kind() || len(c.shape) > maxRank || c.count() == 0 {
		return nil
	}
	at := len(c.shape) - 1 - behind
	for i, d := range c.shape {
		if d != 1 && (i != at || d != int64(p.channels)) {
			return nil
		}
	}
	all := make([]float64, p.channels)
	switch x := c.data.(type) {
	case *[]float32:
		for i := range all {
			all[i] = float64((*x)[i%len(*x)])
		}
	case *[]float64:
		for i := range all {
			all[i] = (*x)[i%len(*x)]
		}
	}
	return all
}

func mapped(x []float64, f func(float64) float64) []float64 {
	for i := range x {
		x[i] = f(x[i])
	}
	return x
}

// normalize takes in a BatchNormalization, whose channels are those of dimension 1.
func (p *layer) normalize(n *node, x int) bool {
	if x != 0 || p.rank-1-p.behind != 1 {
		return false
	}
	var of [4][]float64 // scale, shift, mean and variance
	for i := range of {
		c := n.constant[1+i]
		if len(c.shape) != 1 {
			return false
		}
		if of[i] = p.channelwise(c, 0); of[i] == nil || len(of[i]) != c.count() {
			return false
		}
	}
	epsilon := float64(n.settings().float("epsilon", 1e-5))
	scale, shift := of[0], of[1]
	for i := range scale {
		scale[i] /= math.Sqrt(of[3][i] + epsilon)
		shift[i] -= of[2][i] * scale[i]
	}
	return p.affine(scale, shift)
}

// affine multiplies the result by a scale for each channel, then adds a shift; either may be nil. It reports whether
// the numbers still fit: what overflows or loses digits as a weight might not in the result.
func (p *layer) affine(scale, shift []float64) bool {
	if p.weights.kind() == kindFloat32 {
		return affineOf[float32](p, scale, shift, 0x1p-126, math.MaxFloat32)
	}
	return affineOf[float64](p, scale, shift, 0x1p-1022, math.MaxFloat64)
}

func affineOf[T float](p *layer, scale, shift []float64, least, most float64) bool {
	fits := true
	fit := func(x float64, zero bool) T {
		size := math.Abs(x)
		fits = fits && (size >= least && size <= most || x == 0 && zero)
		return T(x)
	}
	weights, bias := &value{memory: p.memory}, &value{memory: p.memory}
	b, err := place[T](bias, int64(p.channels))
	if err != nil {
		return false
	}
	clear(b)
	if p.bias != nil {
		old, _ := of[T](p.bias)
		copy(b, old)
	}
	if scale == nil {
		weights = p.weights
	} else {
		w, err := place[T](weights, p.weights.shape...)
		if err != nil {
			return false
		}
		old, _ := of[T](p.weights)
		for i, x := range old {
			by := scale[i/p.each%p.channels]
			w[i] = fit(float64(x)*by, x == 0 || by == 0)
		}
		for i, x := range b {
			b[i] = fit(float64(x)*scale[i], x == 0 || scale[i] == 0)
		}
	}
	for i := range shift {
		b[i] = fit(float64(b[i])+shift[i], true)
	}
	if !fits {
		return false
	}
	p.weights = weights
	if p.bias != nil || shift != nil {
		p.bias = bias
	}
	return true
}

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
	z, err := place[T](out, shape...)
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
