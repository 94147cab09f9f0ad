package pure

// Eight trees of an ensemble walked at once, without branches.

import "math"

// packed holds an ensemble's nodes for rows that go on behind the columns that a tree compares: with NaN, and then, if
// twice is set, with the columns again, -Inf for each missing value. Comparing with a column sends a missing value to
// the second child, comparing with its copy to the first. The children of a node are adjacent and behind it.
type packed[T float] struct {
	nodes  []packedNode[T] // nil if the ensemble is walked tree by tree
	roots  []int32         // for whole groups of eight: the last are of trees that add -0
	steps  []int32         // of the longest path in each eight trees
	twice  bool            // whether a node sends missing values to its first child
	single bool            // whether every leaf has one weight, and all leaves of a tree the same target
	target []int32         // of each tree, if single
	one    bool            // whether that is the same target for all trees
}

// packedNode sends a row to its first child if the value is at most the threshold. A leaf compares NaN with anything,
// and stays.
type packedNode[T float] struct {
	threshold T      // or what a leaf gives: see ensemble.leaves
	feature   uint16 // a leaf's is the column of NaN
	second    uint16 // how far behind the node its second child is, 0 for a leaf
}

// maxDeep is the depth up to which trees are walked together, each as many steps as the deepest.
const maxDeep = 128

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

// pack fills e.fast, once leaves have their weights. Walks end with weights if they can and may.
func (e *ensemble[T]) pack(weights bool) {
	f := packed[T]{single: weights, one: true}
	end := e.columns // the column of NaN
	if end > math.MaxUint16 {
		return
	}
	type at struct{ packed, node, depth int32 }
	for i, root := range e.roots {
		if i%8 == 0 {
			f.steps = append(f.steps, 0)
		}
		f.roots, f.target = append(f.roots, int32(len(f.nodes))), append(f.target, -1)
		f.nodes = append(f.nodes, packedNode[T]{})
		deepest := &f.steps[i/8]
		for next := []at{{int32(len(f.nodes) - 1), root, 0}}; len(next) > 0; {
			a := next[len(next)-1]
			next = next[:len(next)-1]
			node := &e.nodes[a.node]
			if node.feature < 0 {
				f.nodes[a.packed] = packedNode[T]{T(a.node), uint16(end), 0}
				if *deepest = max(*deepest, a.depth); a.depth > maxDeep {
					return
				}
				f.judge(i, e.weights[node.yes:node.no])
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
			if swapped {
				yes, no = no, yes
			}
			column := int(node.feature)
			if missing := e.missing != nil && e.missing[a.node]; missing != swapped {
				column, f.twice = end+1+column, true
				if threshold != threshold { // not even -Inf is at most that
					return
				}
			}
			first := int32(len(f.nodes))
			second := first + 1 - a.packed
			if second > math.MaxUint16 || column > math.MaxUint16 {
				return
			}
			f.nodes[a.packed] = packedNode[T]{threshold, uint16(column), uint16(second)}
			f.nodes = append(f.nodes, packedNode[T]{}, packedNode[T]{})
			next = append(next, at{first, yes, a.depth + 1}, at{first + 1, no, a.depth + 1})
		}
	}
	if f.single {
		for i := range f.nodes {
			if n := &f.nodes[i]; n.second == 0 {
				n.threshold = e.weights[e.nodes[int32(n.threshold)].yes].weight
			}
		}
	}
	for len(f.roots)%8 > 0 {
		f.roots = append(f.roots, int32(len(f.nodes)))
	}
	f.nodes = append(f.nodes, packedNode[T]{T(math.Copysign(0, -1)), uint16(end), 0})
	e.fast = f
}

// judge takes in the weights of a tree's leaf.
func (f *packed[T]) judge(tree int, weights []leafWeight[T]) {
	if !f.single || len(weights) != 1 || f.target[tree] >= 0 && f.target[tree] != weights[0].target {
		f.single = false
		return
	}
	f.target[tree] = weights[0].target
	f.one = f.one && f.target[tree] == f.target[0]
}

// walker is a run's memory for the walks of its rows.
type walker[T float] struct {
	row    []T // as packed describes it
	leaves []T
}

func (e *ensemble[T]) walker(row, leaves *value) (w walker[T], err error) {
	length := e.columns + 1
	if e.fast.twice {
		length += e.columns
	}
	if w.row, err = allocate[T](row, int64(length)); err != nil {
		return w, err
	}
	w.row[e.columns] = T(math.NaN())
	w.leaves, err = allocate[T](leaves, int64(len(e.roots)+7)/8*8)
	return w, err
}

// leaves walks a row down every tree. It returns each one's leaf: its weight if e.fast.single, else the index of its
// node. It also returns their sum, in the trees' order.
func (e *ensemble[T]) leaves(w *walker[T], x []T) (leaves []T, sum T) {
	leaves = w.leaves[:len(e.roots)]
	if e.fast.nodes == nil {
		for i, root := range e.roots {
			at := e.leafOf(root, x)
			leaves[i] = T(at)
			if e.fast.single {
				leaves[i] = e.weights[e.nodes[at].yes].weight
			}
			sum += leaves[i]
		}
		return leaves, sum
	}
	e.set(w, x)
	return leaves, e.fast.walk(w.row, w.leaves)
}

// set makes x the row that is walked.
func (e *ensemble[T]) set(w *walker[T], x []T) {
	copy(w.row, x[:e.columns])
	if !e.fast.twice {
		return
	}
	least := T(math.Inf(-1))
	again := w.row[e.columns+1:]
	for i, v := range w.row[:len(again)] {
		if v != v {
			v = least
		}
		again[i] = v
	}
}

// plain walks a row down all trees, four at once, and adds what their leaves give.
func (f *packed[T]) plain(x, leaves []T) (sum T) {
	for i := 0; i < len(f.roots); i += 4 {
		r := f.roots[i:][:4]
		a, b, c, d := r[0], r[1], r[2], r[3]
		for range f.steps[i/8] {
			a, b, c, d = f.step(a, x), f.step(b, x), f.step(c, x), f.step(d, x)
		}
		l := leaves[i:][:4]
		l[0], l[1], l[2], l[3] = f.nodes[a].threshold, f.nodes[b].threshold, f.nodes[c].threshold, f.nodes[d].threshold
		for _, v := range l {
			sum += v
		}
	}
	return sum
}

// step goes from a node to the next, or stays at a leaf.
func (f *packed[T]) step(i int32, x []T) int32 {
	node := &f.nodes[i]
	first := int32(0)
	if x[node.feature] <= node.threshold { // no branch: the compiler takes the comparison's bit
		first = 1
	}
	return i + int32(node.second) - first
}
