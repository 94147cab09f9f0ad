package pure

// Four trees of an ensemble walked at once, without branches.

import "math"

// flat holds an ensemble's nodes, laid out so that the two children of a node are adjacent.
type flat[T float] struct {
	nodes []flatNode[T] // nil if a node compares otherwise than by order
	from  []int32       // each one's index in the ensemble's nodes
	roots []int32
	steps []int32 // steps of the longest path in each four trees; 0 if they are too deep
	whole bool    // whether rows must have no missing values
}

// flatNode sends a row to its first child if the value is at most the threshold.
type flatNode[T float] struct {
	threshold T
	feature   int32
	first     int32
	inner     int32 // 1, or 0 for a leaf, whose child is itself
}

// maxDeep is the depth up to which four trees are walked together, each as many steps as the deepest.
const maxDeep = 64

// atMost returns the threshold of a comparison as that of "at most", and whether the children swap.
func atMost[T float](mode comparisonMode, threshold T) (_ T, swapped, ok bool) {
	if mode == modeLT || mode == modeGTE {
		threshold = below(threshold)
	}
	return threshold, mode == modeGT || mode == modeGTE, mode != modeEQ && mode != modeNEQ
}

// below returns the largest number that is less than x, or NaN if there is none.
func below[T float](x T) T {
	switch x := any(x).(type) {
	case float32:
		if x == float32(math.Inf(-1)) {
			return T(math.NaN())
		}
		return T(math.Nextafter32(x, float32(math.Inf(-1))))
	case float64:
		if x == math.Inf(-1) {
			return T(math.NaN())
		}
		return T(math.Nextafter(x, math.Inf(-1)))
	}
	panic("unreachable")
}

// flatten fills e.fast.
func (e *ensemble[T]) flatten() {
	f := flat[T]{whole: e.missing != nil}
	type at struct{ flat, node, depth int32 }
	for i, root := range e.roots {
		if i%4 == 0 {
			f.steps = append(f.steps, 0)
		}
		f.roots = append(f.roots, int32(len(f.nodes)))
		f.nodes, f.from = append(f.nodes, flatNode[T]{}), append(f.from, root)
		deepest := &f.steps[i/4]
		for next := []at{{int32(len(f.nodes) - 1), root, 0}}; len(next) > 0; {
			a := next[len(next)-1]
			next = next[:len(next)-1]
			node := &e.nodes[a.node]
			if node.feature < 0 {
				f.nodes[a.flat].first = a.flat
				*deepest = max(*deepest, a.depth)
				continue
			}
			mode := modeLEQ
			if e.modes != nil {
				mode = e.modes[a.node]
			}
			threshold, swapped, ok := atMost(mode, node.threshold)
			if !ok {
				return
			}
			yes, no := node.yes, node.no
			if swapped { // a missing value would go on to the other child
				yes, no, f.whole = no, yes, true
			}
			first := int32(len(f.nodes))
			f.nodes[a.flat] = flatNode[T]{threshold, node.feature, first, 1}
			f.nodes, f.from = append(f.nodes, flatNode[T]{}, flatNode[T]{}), append(f.from, yes, no)
			next = append(next, at{first, yes, a.depth + 1}, at{first + 1, no, a.depth + 1})
		}
	}
	for i, d := range f.steps {
		if d > maxDeep {
			f.steps[i] = 0
		}
	}
	e.fast = f
}

// walksFast reports whether the flat nodes send a row to the right leaves.
func (e *ensemble[T]) walksFast(x []T) bool {
	if e.fast.nodes == nil {
		return false
	}
	if !e.fast.whole {
		return true
	}
	for _, v := range x[:e.columns] {
		if v != v {
			return false
		}
	}
	return true
}

// four walks a row down up to four trees, from a multiple of four on, and returns their leaves.
func (e *ensemble[T]) four(tree int, x []T, fast bool) (leaves [4]int32, n int) {
	n = min(4, len(e.roots)-tree)
	if !fast || n < 4 || e.fast.steps[tree/4] == 0 {
		for i := range n {
			leaves[i] = e.leafOf(e.roots[tree+i], x)
		}
		return leaves, n
	}
	f := &e.fast
	a, b, c, d := f.roots[tree], f.roots[tree+1], f.roots[tree+2], f.roots[tree+3]
	for range f.steps[tree/4] {
		a, b, c, d = f.step(a, x), f.step(b, x), f.step(c, x), f.step(d, x)
	}
	return [4]int32{f.from[a], f.from[b], f.from[c], f.from[d]}, n
}

// step goes from a node to the next, or stays at a leaf.
func (f *flat[T]) step(i int32, x []T) int32 {
	node := &f.nodes[i]
	first := int32(0)
	if x[node.feature] <= node.threshold { // no branch: the compiler takes the comparison's bit
		first = 1
	}
	return node.first + node.inner&^first
}
