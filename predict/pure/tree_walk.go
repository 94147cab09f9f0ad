package pure

// How rows walk down the trees of an ensemble.

// flatten lays the nodes out so that four trees can be walked at once, without branches.
func (e *ensemble[T]) flatten() {
	if e.modes != nil || e.missing != nil {
		return
	}
	type at struct{ fast, node, depth int32 }
	for i, root := range e.roots {
		if i%4 == 0 {
			e.deep = append(e.deep, 0)
		}
		e.top = append(e.top, int32(len(e.fast)))
		e.fast, e.from = append(e.fast, fastNode[T]{}), append(e.from, root)
		deepest := &e.deep[i/4]
		for next := []at{{int32(len(e.fast) - 1), root, 0}}; len(next) > 0; {
			a := next[len(next)-1]
			next = next[:len(next)-1]
			node := &e.nodes[a.node]
			if node.feature < 0 {
				e.fast[a.fast].yes = a.fast
				*deepest = max(*deepest, a.depth)
				continue
			}
			yes := int32(len(e.fast))
			e.fast[a.fast] = fastNode[T]{node.threshold, node.feature, yes, 1}
			e.fast, e.from = append(e.fast, fastNode[T]{}, fastNode[T]{}), append(e.from, node.yes, node.no)
			next = append(next, at{yes, node.yes, a.depth + 1}, at{yes + 1, node.no, a.depth + 1})
		}
	}
	for i, d := range e.deep {
		if d > maxDeep {
			e.deep[i] = 0
		}
	}
}

// four walks a row down n trees, at most four, and returns their leaves. first is a multiple of four.
func (e *ensemble[T]) four(first int, x []T) (leaves [4]int32, n int) {
	n = min(4, len(e.roots)-first)
	if e.fast == nil || n < 4 || e.deep[first/4] == 0 {
		for i := range n {
			leaves[i] = e.leafOf(e.roots[first+i], x)
		}
		return leaves, n
	}
	a, b, c, d := e.top[first], e.top[first+1], e.top[first+2], e.top[first+3]
	for range e.deep[first/4] {
		a, b, c, d = e.step(a, x), e.step(b, x), e.step(c, x), e.step(d, x)
	}
	return [4]int32{e.from[a], e.from[b], e.from[c], e.from[d]}, n
}

// step goes from a node to the next, or stays at a leaf.
func (e *ensemble[T]) step(i int32, x []T) int32 {
	node := &e.fast[i]
	first := int32(0)
	// The compiler makes no branch of this.
	if x[node.feature] <= node.threshold {
		first = 1
	}
	return node.yes + node.inner&^first
}

// leafOf walks a row down a tree.
func (e *ensemble[T]) leafOf(root int32, x []T) int32 {
	i, node := root, &e.nodes[root]
	for node.feature >= 0 {
		v, yes := x[node.feature], false
		mode := modeLEQ
		if e.modes != nil {
			mode = e.modes[i]
		}
		switch mode {
		case modeLEQ:
			yes = v <= node.threshold
		case modeLT:
			yes = v < node.threshold
		case modeGTE:
			yes = v >= node.threshold
		case modeGT:
			yes = v > node.threshold
		case modeEQ:
			yes = v == node.threshold
		case modeNEQ:
			yes = v != node.threshold
		}
		if v != v && e.missing != nil && e.missing[i] {
			yes = true
		}
		if i = node.no; yes {
			i = node.yes
		}
		node = &e.nodes[i]
	}
	return i
}
