package pure

// MatMul and Gemm.

import (
	"errors"
	"fmt"
	"slices"
)

// multiply adds to z [m, n] the product of a [m, k] and b [k, n], all row-major. It stops early if the run
// is abandoned.
func multiply[T number](until *memory, z, a, b []T, m, k, n int) error {
	if m*n == 0 || k == 0 {
		return nil
	}
	const atOnce = 1 << 26 // multiplications: some ten milliseconds
	block := max(4, atOnce/(k*n)&^3)
	for first := 0; first < m; first += block {
		if err := until.ended(); err != nil {
			return err
		}
		rows := min(block, m-first)
		multiplyRows(z[first*n:][:rows*n], a[first*k:][:rows*k], b, rows, k, n)
	}
	return nil
}

func multiplyRows[T number](z, a, b []T, m, k, n int) {
	if hasVectors {
		if z, ok := any(z).([]float32); ok {
			product(z, any(a).([]float32), any(b).([]float32), m, k, n)
			return
		}
	}
	multiplied(z, a, b, m, k, n)
}

// multiplied is multiplyRows without vectors.
func multiplied[T number](z, a, b []T, m, k, n int) {
	for i := range m {
		row, factors := z[i*n:][:n], a[i*k:][:k]
		p := 0
		for ; p+4 <= k; p += 4 {
			f0, f1, f2, f3 := factors[p], factors[p+1], factors[p+2], factors[p+3]
			b0, b1, b2, b3 := b[p*n:][:len(row)], b[(p+1)*n:][:len(row)], b[(p+2)*n:][:len(row)], b[(p+3)*n:][:len(row)]
			for j := range row {
				row[j] += f0*b0[j] + f1*b1[j] + f2*b2[j] + f3*b3[j]
			}
		}
		for ; p < k; p++ {
			f, br := factors[p], b[p*n:][:len(row)]
			for j := range row {
				row[j] += f * br[j]
			}
		}
	}
}

var matMul = operator{since: 1, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
	if p := denseLayer(n, n.constant[1], 0); p != nil {
		n.layer = p
		return p.run, n.settings().end()
	}
	return func(in, out []*value) error {
		switch a := in[0].data.(type) {
		case *[]float32:
			return matMulOf(out[0], in, *a)
		case *[]float64:
			return matMulOf(out[0], in, *a)
		case *[]int32:
			return matMulOf(out[0], in, *a)
		case *[]int64:
			return matMulOf(out[0], in, *a)
		}
		return unsupported(in[0])
	}, n.settings().end()
}}

func matMulOf[T number](out *value, in []*value, a []T) error {
	b, ok := of[T](in[1])
	if !ok {
		return errTypes
	}
	sa, sb := in[0].shape, in[1].shape
	if len(sa) == 0 || len(sb) == 0 {
		return errors.New("a scalar is not a matrix")
	}
	// A vector is a matrix of one row on the left, and of one column on the right.
	m, k := int64(1), sa[len(sa)-1]
	kb, n := sb[0], int64(1)
	var outerA, outerB []int64
	if len(sa) > 1 {
		m, outerA = sa[len(sa)-2], sa[:len(sa)-2]
	}
	if len(sb) > 1 {
		kb, n, outerB = sb[len(sb)-2], sb[len(sb)-1], sb[:len(sb)-2]
	}
	if k != kb {
		return errFit(sa, sb)
	}
	shape, err := broadcastShape(out.shape[:0], outerA, outerB)
	if err != nil {
		return err
	}
	outer := len(shape)
	if len(sa) > 1 {
		shape = append(shape, m)
	}
	if len(sb) > 1 {
		shape = append(shape, n)
	}
	z, err := allocate[T](out, shape...)
	if err != nil {
		return err
	}
	clear(z)
	if len(z) == 0 || k == 0 {
		return nil
	}
	if len(outerB) == 0 { // one matrix for all rows
		return multiply(out.memory, z, a, b, len(z)/int(n), int(k), int(n))
	}
	wa, wb := newWalk(out.shape[:outer], outerA), newWalk(out.shape[:outer], outerB)
	for i := 0; i < len(z); i += int(m * n) {
		if err := multiply(out.memory, z[i:], a[wa.at*m*k:], b[wb.at*k*n:], int(m), int(k), int(n)); err != nil {
			return err
		}
		wa.next()
		wb.next()
	}
	return nil
}

func errFit(a, b []int64) error { return fmt.Errorf("shapes %v and %v do not fit together", a, b) }

var gemmOp = operator{since: 7, inputs: [2]int{2, 3}, outputs: 1, scratch: 2, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	g := gemm{float64(s.float("alpha", 1)), float64(s.float("beta", 1)), s.integer("transA", 0) != 0, s.integer("transB", 0) != 0, nil}
	if w := n.constant[1]; w != nil && g.transB && len(w.shape) == 2 { // turned once
		g.turned = &value{memory: n.memory}
		if err := turn(g.turned, w); err != nil {
			return nil, err
		}
	}
	if p := g.layer(n); p != nil {
		n.layer = p
		return p.run, s.end()
	}
	return func(in, out []*value) error {
		switch in[0].data.(type) {
		case *[]float32:
			return gemmOf[float32](&g, in, out)
		case *[]float64:
			return gemmOf[float64](&g, in, out)
		}
		return unsupported(in[0])
	}, s.end()
}}

type gemm struct {
	alpha, beta    float64
	transA, transB bool
	turned         *value // the second input where it is constant and transB is set
}

// layer describes the product with constant weights and a constant bias for each column, nil if there is another one.
func (g *gemm) layer(n *node) *layer {
	w, c := n.constant[1], n.constant[2]
	if g.turned != nil {
		w = g.turned
	}
	if g.transA || n.in[2] != "" && c == nil {
		return nil
	}
	p := denseLayer(n, w, 2)
	if p == nil || g.alpha != 1 && !p.affine(slices.Repeat([]float64{g.alpha}, p.channels), nil) {
		return nil
	}
	if c == nil {
		return p
	}
	bias := p.channelwise(c, 0)
	if bias == nil || len(c.shape) > 2 || !p.affine(nil, mapped(bias, func(x float64) float64 { return g.beta * x })) {
		return nil
	}
	return p
}

// turn transposes a matrix.
func turn(out, in *value) error {
	rows, columns := in.shape[0], in.shape[1]
	var l layout
	_, _ = l.add(columns, 1), l.add(rows, columns)
	return take(out, in, &l, append(out.shape[:0], columns, rows))
}

func gemmOf[T float](g *gemm, in, out []*value) error {
	a, b := in[0], in[1]
	if len(a.shape) != 2 || len(b.shape) != 2 {
		return fmt.Errorf("shapes %v and %v are not matrices", a.shape, b.shape)
	}
	if g.transA {
		if err := turn(out[1], a); err != nil {
			return err
		}
		a = out[1]
	}
	if g.turned != nil {
		b = g.turned
	} else if g.transB {
		if err := turn(out[2], b); err != nil {
			return err
		}
		b = out[2]
	}
	m, k, n := a.shape[0], a.shape[1], b.shape[1]
	if b.shape[0] != k {
		return errFit(in[0].shape, in[1].shape)
	}
	x, okA := of[T](a)
	w, okB := of[T](b)
	if !okA || !okB {
		return errTypes
	}
	z, err := allocate[T](out[0], append(out[0].shape[:0], m, n)...)
	if err != nil {
		return err
	}
	simple := g.alpha == 1 && (g.beta == 1 || in[2] == nil)
	if !simple || in[2] == nil {
		clear(z)
	} else if err := fillWith(z, in[2], out[0].shape, T(1)); err != nil {
		return err
	}
	if err := multiply(out[0].memory, z, x, w, int(m), int(k), int(n)); err != nil || simple {
		return err
	}
	scale(z, T(g.alpha))
	if in[2] == nil {
		return nil
	}
	return addWith(z, in[2], out[0].shape, T(g.beta))
}

// fillWith repeats c over a matrix of the given shape.
func fillWith[T float](z []T, c *value, shape []int64, by T) error {
	x, err := repeatable[T](c, shape)
	if err != nil {
		return err
	}
	if n := int(shape[1]); len(x) == n && (len(c.shape) == 1 || c.shape[0] == 1) {
		for ; len(z) > 0; z = z[n:] {
			copy(z[:n], x)
		}
		return nil
	}
	clear(z)
	return addWith(z, c, shape, by)
}

func addWith[T float](z []T, c *value, shape []int64, by T) error {
	x, err := repeatable[T](c, shape)
	if err != nil || len(z) == 0 {
		return err
	}
	w := newWalk(shape, c.shape)
	for i := range z {
		z[i] += by * x[w.at]
		w.next()
	}
	return nil
}

// repeatable returns the elements of a value that broadcasts to a matrix.
func repeatable[T float](c *value, shape []int64) ([]T, error) {
	x, ok := of[T](c)
	if !ok {
		return nil, errTypes
	}
	if len(c.shape) > 2 {
		return nil, fmt.Errorf("shape %v does not broadcast to %v", c.shape, shape)
	}
	for i := range shape {
		if d := sizeAt(c.shape, 2, i); d != 1 && d != shape[i] {
			return nil, fmt.Errorf("shape %v does not broadcast to %v", c.shape, shape)
		}
	}
	return x, nil
}
