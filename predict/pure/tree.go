package pure

// Ensembles of trees, as the attributes of TreeEnsembleClassifier and TreeEnsembleRegressor describe them, up to
// version 5 of ai.onnx.ml.

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// treeNode is an inner node, or a leaf if feature is negative: then yes and no are the range of its weights in the
// ensemble.
type treeNode[T float] struct {
	threshold T
	feature   int32
	yes, no   int32
}

// comparisonMode is how an inner node compares.
type comparisonMode uint8

const (
	modeLEQ comparisonMode = iota
	modeLT
	modeGTE
	modeGT
	modeEQ
	modeNEQ
)

var modes = map[string]comparisonMode{
	"BRANCH_LEQ": modeLEQ, "BRANCH_LT": modeLT, "BRANCH_GTE": modeGTE, "BRANCH_GT": modeGT, "BRANCH_EQ": modeEQ, "BRANCH_NEQ": modeNEQ,
}

// leafWeight is what a leaf adds to the score of a class or target.
type leafWeight[T float] struct {
	target int32
	weight T
}

// ensemble holds trees for rows of one type.
type ensemble[T float] struct {
	nodes   []treeNode[T]
	roots   []int32
	weights []leafWeight[T]
	modes   []comparisonMode // of each node; nil if all are modeLEQ
	missing []bool           // whether a missing value takes a node's yes branch; nil if none does
	base    []T
	targets int
	columns int // that a row must have

	fast packed[T] // the nodes again, if they can be walked together
}

// treeSettings are the attributes of both operators.
type treeSettings struct {
	trees, ids, yes, no, features, missing []int64
	modes                                  []string
	values                                 []float64
	wTrees, wIDs, wTargets                 []int64
	weights, base                          []float64
	targets                                int
	indices                                bool // whether walks end with leaves' indices, never with weights
}

// numbers reads an attribute of floats, or the tensor that takes its place.
func (s *settings) numbers(name string) ([]float64, error) {
	var wide []float64
	for _, x := range s.floats(name) {
		wide = append(wide, float64(x))
	}
	t := s.value(name + "_as_tensor")
	if t == nil {
		return wide, nil
	}
	if wide != nil {
		return nil, fmt.Errorf("it has %s twice", name)
	}
	if d, ok := of[float64](t); ok {
		return d, nil
	}
	d, ok := of[float32](t)
	if !ok {
		return nil, unsupported(t)
	}
	for _, x := range d {
		wide = append(wide, float64(x))
	}
	return wide, nil
}

// maxTreeNodes is the number of nodes up to which a float32 holds the index of each.
const maxTreeNodes = 1 << 24

func readTrees(s *settings, kind string, targets int) (*treeSettings, error) {
	t := &treeSettings{
		trees: s.integers("nodes_treeids"), ids: s.integers("nodes_nodeids"), features: s.integers("nodes_featureids"),
		yes: s.integers("nodes_truenodeids"), no: s.integers("nodes_falsenodeids"),
		missing: s.integers("nodes_missing_value_tracks_true"), modes: s.strings("nodes_modes"),
		wTrees: s.integers(kind + "_treeids"), wIDs: s.integers(kind + "_nodeids"), wTargets: s.integers(kind + "_ids"),
		targets: targets,
	}
	s.ignore("nodes_hitrates", "nodes_hitrates_as_tensor")
	var err [3]error
	t.values, err[0] = s.numbers("nodes_values")
	t.weights, err[1] = s.numbers(kind + "_weights")
	t.base, err[2] = s.numbers("base_values")
	if e := errors.Join(err[:]...); e != nil {
		return nil, e
	}
	n, w := len(t.trees), len(t.wTrees)
	if n == 0 || n > maxTreeNodes || len(t.ids) != n || len(t.features) != n || len(t.yes) != n || len(t.no) != n || len(t.modes) != n ||
		len(t.values) != n || t.missing != nil && len(t.missing) != n {
		return nil, errors.New("its lists of nodes differ in length, or are empty")
	}
	if w > math.MaxInt32 || len(t.wIDs) != w || len(t.wTargets) != w || len(t.weights) != w {
		return nil, errors.New("its lists of weights differ in length")
	}
	if targets < 1 || len(t.base) > targets && len(t.base) != 1 {
		return nil, fmt.Errorf("%d base values do not fit %d targets", len(t.base), targets)
	}
	return t, nil
}

// build makes the ensemble. Nodes may share a child, as the tests of a category do, but no path comes back to a node, so that
// every row ends at a leaf.
func build[T float](t *treeSettings) (*ensemble[T], error) {
	type id struct{ tree, node int64 }
	n := len(t.trees)
	e := &ensemble[T]{nodes: make([]treeNode[T], n), targets: t.targets}
	at := make(map[id]int32, n)
	for i := range n {
		key := id{t.trees[i], t.ids[i]}
		if _, twice := at[key]; twice {
			return nil, fmt.Errorf("tree %d has node %d twice", key.tree, key.node)
		}
		at[key] = int32(i)
		if i == 0 || t.trees[i] != t.trees[i-1] {
			e.roots = append(e.roots, int32(i))
		}
		if t.missing != nil && t.missing[i] != 0 && e.missing == nil {
			e.missing = make([]bool, n)
		}
	}
	parents := make([]int32, n)
	child := func(i int, node int64) (int32, error) {
		c, ok := at[id{t.trees[i], node}]
		if !ok {
			return 0, fmt.Errorf("node %d of tree %d is missing", node, t.trees[i])
		}
		parents[c]++
		return c, nil
	}
	for i := range n {
		node := &e.nodes[i]
		if t.modes[i] == "LEAF" {
			node.feature = -1
			continue
		}
		mode, ok := modes[t.modes[i]]
		if !ok {
			return nil, fmt.Errorf("its mode %q is not supported", t.modes[i])
		}
		if mode != modeLEQ && e.modes == nil {
			e.modes = make([]comparisonMode, n)
		}
		if e.modes != nil {
			e.modes[i] = mode
		}
		if e.missing != nil {
			e.missing[i] = t.missing[i] != 0
		}
		f := t.features[i]
		if f < 0 || f >= math.MaxInt32 {
			return nil, fmt.Errorf("feature %d is invalid", f)
		}
		e.columns = max(e.columns, int(f)+1)
		node.feature, node.threshold = int32(f), T(t.values[i])
		var err error
		if node.yes, err = child(i, t.yes[i]); err != nil {
			return nil, err
		}
		if node.no, err = child(i, t.no[i]); err != nil {
			return nil, err
		}
	}
	alone := slices.Max(parents) < 2 && !slices.ContainsFunc(e.roots, func(i int32) bool { return parents[i] > 0 })
	if at := e.endless(parents); at >= 0 {
		return nil, fmt.Errorf("a path in tree %d comes back to node %d", t.trees[at], t.ids[at])
	}
	if err := e.addWeights(t, func(tree, node int64) (int32, bool) { i, ok := at[id{tree, node}]; return i, ok }); err != nil {
		return nil, err
	}
	if alone { // else some nodes would lie in many places
		e.pack(!t.indices)
	}
	return e, nil
}

// endless returns a node that paths come back to, or -1. It uses up the nodes' counts of parents.
func (e *ensemble[T]) endless(parents []int32) int {
	var next []int32
	for i, n := range parents {
		if n == 0 {
			next = append(next, int32(i))
		}
	}
	for len(next) > 0 {
		node := &e.nodes[next[len(next)-1]]
		next = next[:len(next)-1]
		if node.feature < 0 {
			continue
		}
		for _, c := range [2]int32{node.yes, node.no} {
			if parents[c]--; parents[c] == 0 {
				next = append(next, c)
			}
		}
	}
	return slices.IndexFunc(parents, func(n int32) bool { return n > 0 })
}

// buildBoth makes the ensemble for rows of float32, and for rows of float64.
func buildBoth(t *treeSettings) (narrow *ensemble[float32], wide *ensemble[float64], err error) {
	if narrow, err = build[float32](t); err != nil {
		return nil, nil, err
	}
	wide, err = build[float64](t)
	return narrow, wide, err
}

// addWeights gives each leaf its weights, together and in their order.
func (e *ensemble[T]) addWeights(t *treeSettings, find func(tree, node int64) (int32, bool)) error {
	count := make([]int32, len(e.nodes)+1)
	leaf := make([]int32, len(t.weights))
	for i := range t.weights {
		at, ok := find(t.wTrees[i], t.wIDs[i])
		if !ok {
			return fmt.Errorf("a weight names node %d of tree %d, which is missing", t.wIDs[i], t.wTrees[i])
		}
		if t.wTargets[i] < 0 || t.wTargets[i] >= int64(e.targets) {
			return fmt.Errorf("a weight names target %d of %d", t.wTargets[i], e.targets)
		}
		leaf[i] = at
		count[at+1]++
	}
	for i := range e.nodes {
		count[i+1] += count[i]
		if node := &e.nodes[i]; node.feature < 0 {
			node.yes, node.no = count[i], count[i+1]
		}
	}
	e.weights = make([]leafWeight[T], len(t.weights))
	for i, at := range leaf {
		e.weights[count[at]] = leafWeight[T]{int32(t.wTargets[i]), T(t.weights[i])}
		count[at]++
	}
	for _, b := range t.base {
		e.base = append(e.base, T(b))
	}
	return nil
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
