package pure

// Fusing: a MatMul, Gemm or Conv with constant weights does the work of the nodes that scale its result by channel, add
// a bias, or apply a function to it, and of a node that scales its input.

import (
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
	all := doubles(c)
	if len(all) == 1 {
		return slices.Repeat(all, p.channels)
	}
	return all
}

// doubles copies the elements of a constant of floats.
func doubles(c *value) []float64 {
	all := make([]float64, c.count())
	switch x := c.data.(type) {
	case *[]float32:
		for i, v := range *x {
			all[i] = float64(v)
		}
	case *[]float64:
		copy(all, *x)
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
		return affineOf(p, scale, shift, narrowFitter)
	}
	return affineOf(p, scale, shift, wideFitter)
}

// fitter rounds numbers, and remembers one that overflows or loses digits.
type fitter[T float] struct {
	least, most float64
	failed      bool
}

var (
	narrowFitter = fitter[float32]{least: 0x1p-126, most: math.MaxFloat32}
	wideFitter   = fitter[float64]{least: 0x1p-1022, most: math.MaxFloat64}
)

// fit rounds a number, which may be 0 if zero is set.
func (f *fitter[T]) fit(x float64, zero bool) T {
	size := math.Abs(x)
	f.failed = f.failed || !(size >= f.least && size <= f.most || x == 0 && zero)
	return T(x)
}

// multiply returns the weights, each times a number, or nil if they do not fit.
func (f fitter[T]) multiply(p *layer, by func(i int) float64) *value {
	weights := &value{memory: p.memory}
	w, err := allocate[T](weights, p.weights.shape...)
	if err != nil {
		return nil
	}
	old, _ := of[T](p.weights)
	for i, x := range old {
		b := by(i)
		w[i] = f.fit(float64(x)*b, x == 0 || b == 0)
	}
	if f.failed {
		return nil
	}
	return weights
}

// scaleInput makes the layer multiply its input: by one number, or by one for each row of a matrix of weights. It reports
// whether the weights still fit.
func (p *layer) scaleInput(by []float64) bool {
	if len(by) != 1 && (p.behind > 0 || int64(len(by)) != p.weights.shape[0]) {
		return false
	}
	var weights *value
	at := func(i int) float64 { return by[i/p.channels%len(by)] }
	if p.weights.kind() == kindFloat32 {
		weights = narrowFitter.multiply(p, at)
	} else {
		weights = wideFitter.multiply(p, at)
	}
	if weights != nil {
		p.weights = weights
	}
	return weights != nil
}

// scaling is a step that multiplies a value by a constant and changes nothing else of it.
type scaling struct {
	step int
	of   ref
	by   []float64
	kind kind
}

// noteScaling remembers the step that a node becomes if it is one that a layer behind it can do.
func (s *scope) noteScaling(n *node, st *step, index int) {
	if n.domain != "" || n.op != "Mul" && n.op != "Div" {
		return
	}
	x := 0
	if n.constant[0] != nil && n.op == "Mul" {
		x = 1
	}
	c := n.constant[1-x]
	if c == nil || n.constant[x] != nil || !isFloat(c) || c.count() == 0 || c.count() > maxChannels {
		return
	}
	if shape := s.shapes[n.in[x]]; len(c.shape) > 0 { // which must not grow by it
		last := len(shape) - 1
		if last < 0 || len(c.shape) > len(shape) || size(c.shape) != c.shape[len(c.shape)-1] || c.count() != 1 && int64(c.count()) != shape[last] {
			return
		}
	}
	by := doubles(c)
	if n.op == "Div" {
		by = mapped(by, func(c float64) float64 { return 1 / c })
	}
	s.scalings[st.out[0]] = scaling{index, st.in[x], by, c.kind()}
}

// scaleBefore lets a layer do the work of a step before it that only scales its input.
func (s *scope) scaleBefore(n *node, st *step) {
	before, ok := s.scalings[st.in[0]]
	if ok && s.uses[n.in[0]] == 1 && before.kind == n.layer.weights.kind() && n.layer.scaleInput(before.by) {
		st.in[0] = before.of
		s.plan.steps[before.step].idle = true
	}
}

func affineOf[T float](p *layer, scale, shift []float64, f fitter[T]) bool {
	weights, bias := p.weights, &value{memory: p.memory}
	b, err := allocate[T](bias, int64(p.channels))
	if err != nil {
		return false
	}
	clear(b)
	if p.bias != nil {
		old, _ := of[T](p.bias)
		copy(b, old)
	}
	if scale != nil {
		weights = f.multiply(p, func(i int) float64 { return scale[i/p.each%p.channels] })
		for i, x := range b {
			b[i] = f.fit(float64(x)*scale[i], x == 0 || scale[i] == 0)
		}
	}
	for i := range shift {
		b[i] = f.fit(float64(b[i])+shift[i], true)
	}
	if f.failed || weights == nil {
		return false
	}
	p.weights = weights
	if p.bias != nil || shift != nil {
		p.bias = bias
	}
	return true
}
