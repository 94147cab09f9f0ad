package pure

// Broadcasting: element by element over two tensors of different shapes, whose sizes of 1 repeat
// (https://github.com/onnx/onnx/blob/main/docs/Broadcasting.md).

import (
	"fmt"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// maxRank bounds the number of dimensions.
const maxRank = 16

// broadcastShape appends the common shape of a and b to dst.
func broadcastShape(dst, a, b []int64) ([]int64, error) {
	rank := max(len(a), len(b))
	if rank > maxRank {
		return dst, fmt.Errorf("too many dimensions: %d (limit %d)", rank, maxRank)
	}
	for i := range rank {
		x, y := sizeAt(a, rank, i), sizeAt(b, rank, i)
		switch {
		case x == y || y == 1:
			dst = append(dst, x)
		case x == 1:
			dst = append(dst, y)
		default:
			return dst, fmt.Errorf("shapes %v and %v do not fit together", a, b)
		}
	}
	return dst, nil
}

// sizeAt returns the size of dimension i of rank. Missing leading dimensions have size 1.
func sizeAt(shape []int64, rank, i int) int64 {
	if i -= rank - len(shape); i < 0 {
		return 1
	}
	return shape[i]
}

// pairing walks through two tensors in the order of their common shape. It merges dimensions that both
// step through alike.
type pairing struct {
	rank        int
	size        [maxRank]int64
	left, right [maxRank]int64 // steps in elements, 0 where repeated
}

func pair(shape, a, b []int64) pairing {
	var p pairing
	stepA, stepB := size(a), size(b)
	for i := range shape {
		n := shape[i]
		x, y := sizeAt(a, len(shape), i), sizeAt(b, len(shape), i)
		if x > 0 {
			stepA /= x
		}
		if y > 0 {
			stepB /= y
		}
		if n == 1 {
			continue
		}
		left, right := stepA, stepB
		if x == 1 {
			left = 0
		}
		if y == 1 {
			right = 0
		}
		if k := p.rank - 1; k >= 0 && p.left[k] == left*n && p.right[k] == right*n {
			p.size[k], p.left[k], p.right[k] = p.size[k]*n, left, right
			continue
		}
		p.size[p.rank], p.left[p.rank], p.right[p.rank] = n, left, right
		p.rank++
	}
	if p.rank == 0 {
		p.rank, p.size[0], p.left[0], p.right[0] = 1, 1, 1, 1
	}
	return p
}

// runs holds the loops over a stretch of elements: with both sides moving, or one of them fixed.
type runs[T, R tensor.Element] struct {
	both  func(z []R, x, y []T)
	right func(z []R, x []T, y T) // the right side is one element
	left  func(z []R, x T, y []T)
}

// runsOf makes the loops of a function of two elements.
func runsOf[T, R tensor.Element](f func(x, y T) R) *runs[T, R] {
	return &runs[T, R]{
		both: func(z []R, x, y []T) {
			for i := range z {
				z[i] = f(x[i], y[i])
			}
		},
		right: func(z []R, x []T, y T) {
			for i := range z {
				z[i] = f(x[i], y)
			}
		},
		left: func(z []R, x T, y []T) {
			for i := range z {
				z[i] = f(x, y[i])
			}
		},
	}
}

// combine computes out from x and y, whose shapes are a's and b's.
func combine[T, R tensor.Element](out, a, b *value, x, y []T, f *runs[T, R]) error {
	shape, err := broadcastShape(out.shape[:0], a.shape, b.shape)
	if err != nil {
		return err
	}
	// Compare the shapes before out gets its own, since out may share a's memory, but not its shape. It
	// must not share memory either if an element of a is read more than once.
	if out.data == a.data && size(shape) != int64(a.count()) {
		out.data = out.own
		defer func() { out.own = out.data }()
	}
	z, err := allocate[R](out, shape...)
	if err != nil || len(z) == 0 {
		return err
	}
	p := pair(out.shape, a.shape, b.shape)
	last := p.rank - 1
	n := p.size[last]
	var at [maxRank]int64
	var i, j, k int64
	for k < int64(len(z)) {
		stretch := z[k : k+n]
		switch {
		case p.left[last] == 0:
			f.left(stretch, x[i], y[j:j+n])
		case p.right[last] == 0:
			f.right(stretch, x[i:i+n], y[j])
		default:
			f.both(stretch, x[i:i+n], y[j:j+n])
		}
		k += n
		for d := last - 1; d >= 0; d-- {
			at[d]++
			i += p.left[d]
			j += p.right[d]
			if at[d] < p.size[d] {
				break
			}
			i -= p.left[d] * p.size[d]
			j -= p.right[d] * p.size[d]
			at[d] = 0
		}
	}
	return nil
}
