package pure

// TreeEnsembleClassifier and TreeEnsembleRegressor, in their forms up to version 5 of ai.onnx.ml. Where
// the specification does not say how two classes share one score, they follow ONNX Runtime.

import (
	"errors"
	"fmt"
	"math"
)

// treeNode is an inner node, or a leaf where feature is negative: then yes and no say which of
// the ensemble's weights are its own.
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

// ensemble is trees for rows of one type.
type ensemble[T float] struct {
	nodes   []treeNode[T]
	roots   []int32
	weights []leafWeight[T]
	modes   []comparisonMode // nil where all are modeLEQ
	missing []bool           // whether a missing value takes the yes branch; nil where none does
	base    []T
	targets int
	columns int // that the trees look at, at least

	fast flat[T] // the nodes again, for rows without missing values
}

// treeSettings are the attributes of both operators.
type treeSettings struct {
	trees, ids, yes, no, features, missing []int64
	modes                                  []string
	values                                 []float64
	wTrees, wIDs, wTargets                 []int64
	weights, base                          []float64
	targets                                int
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

func readTrees(s *settings, kind string, targets int) (*treeSettings, error) {
	t := &treeSettings{
		trees: s.integers("nodes_treeids"), ids: s.integers("nodes_nodeids"), features: s.integers("nodes_featureids"),
		yes: s.integers("nodes_truenodeids"), no: s.integers("nodes_falsenodeids"),
		missing: s.integers("nodes_missing_value_tracks_true"), modes: s.texts("nodes_modes"),
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
	if n == 0 || n > math.MaxInt32 || len(t.ids) != n || len(t.features) != n || len(t.yes) != n || len(t.no) != n || len(t.modes) != n ||
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

// build makes the ensemble. Each node is reached once at most, so that every row ends at a leaf.
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
	reached := make([]bool, n)
	for _, root := range e.roots {
		reached[root] = true
	}
	child := func(i int, node int64) (int32, error) {
		c, ok := at[id{t.trees[i], node}]
		if !ok || reached[c] {
			return 0, fmt.Errorf("node %d of tree %d is missing, or reached twice", node, t.trees[i])
		}
		reached[c] = true
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
	e.flatten()
	return e, e.addWeights(t, func(tree, node int64) (int32, bool) { i, ok := at[id{tree, node}]; return i, ok })
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

func checkColumns(need, have int) error {
	if have < need {
		return fmt.Errorf("its trees use column %d, the input has %d columns", need-1, have)
	}
	return nil
}

var treeRegressor = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, scratch: 3, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	targets := s.integer("n_targets", 1)
	if targets < 1 || targets > 1<<20 {
		return nil, fmt.Errorf("%d targets are not supported", targets)
	}
	t, err := readTrees(s, "target", int(targets))
	if err != nil {
		return nil, err
	}
	how := s.text("aggregate_function", "SUM")
	switch how {
	case "SUM", "AVERAGE", "MIN", "MAX":
	default:
		return nil, fmt.Errorf("its aggregate_function %q is not supported", how)
	}
	post, err := readTransform(s)
	if err != nil {
		return nil, err
	}
	narrow, err := build[float32](t)
	if err != nil {
		return nil, err
	}
	wide, err := build[float64](t)
	if err != nil {
		return nil, err
	}
	return func(in, out []*value) error {
		if in[0].dtype() == "float64" {
			return regress(wide, how, post, in, out)
		}
		return regress(narrow, how, post, in, out)
	}, s.end()
}}

// sums are the rows that an ensemble is asked for, and room for the scores of one.
type sums[T float] struct {
	x          []T
	n, columns int
	scores     []T
	scored     []bool
}

func (e *ensemble[T]) sums(in *value, scratch []*value) (s sums[T], err error) {
	if s.x, s.n, s.columns, err = rows[T](in, scratch[0]); err != nil {
		return s, err
	}
	if err = checkColumns(e.columns, s.columns); err != nil {
		return s, err
	}
	if s.scores, err = place[T](scratch[1], int64(e.targets)); err != nil {
		return s, err
	}
	s.scored, err = place[bool](scratch[2], int64(e.targets))
	return s, err
}

func regress[T float](e *ensemble[T], how string, post transform, in, out []*value) error {
	s, err := e.sums(in[0], out[1:])
	if err != nil {
		return err
	}
	x, columns, scores, scored := s.x, s.columns, s.scores, s.scored
	y, err := place[float32](out[0], int64(s.n), int64(e.targets))
	if err != nil {
		return err
	}
	for i := range s.n {
		if err := out[0].memory.ended(); err != nil {
			return err
		}
		e.aggregate(scores, scored, x[i*columns:][:columns], how)
		row := y[i*e.targets:][:e.targets]
		for j, v := range scores {
			row[j] = float32(v)
		}
		if e.targets > 1 {
			post.all(row)
		}
	}
	return nil
}

// aggregate computes the scores of one row, base values included. Of several targets, one that no
// leaf has a weight of stays 0.
func (e *ensemble[T]) aggregate(scores []T, scored []bool, x []T, how string) {
	clear(scores)
	clear(scored)
	fast := e.walksFast(x)
	for first := 0; first < len(e.roots); first += 4 {
		leaves, n := e.four(first, x, fast)
		for _, at := range leaves[:n] {
			leaf := &e.nodes[at]
			for _, w := range e.weights[leaf.yes:leaf.no] {
				s := &scores[w.target]
				switch {
				case how == "SUM" || how == "AVERAGE":
					*s += w.weight
				case !scored[w.target] || how == "MIN" && w.weight < *s || how == "MAX" && w.weight > *s:
					*s = w.weight
				}
				scored[w.target] = true
			}
		}
	}
	for i := range scores {
		if how == "AVERAGE" {
			scores[i] /= T(len(e.roots))
		}
		if scored[i] || e.targets == 1 {
			scores[i] += e.baseOf(i)
		}
	}
}

func (e *ensemble[T]) baseOf(i int) T {
	if len(e.base) == e.targets {
		return e.base[i]
	}
	return 0
}

var treeClassifier = operator{since: 1, inputs: [2]int{1, 1}, outputs: 2, scratch: 3, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	labels, err := readClasses(s, "classlabels_strings", "classlabels_int64s")
	if err != nil {
		return nil, err
	}
	t, err := readTrees(s, "class", labels.len())
	if err != nil {
		return nil, err
	}
	post, err := readTransform(s)
	if err != nil {
		return nil, err
	}
	c := &treeClasses{labels: labels, post: post, positive: true}
	ids := map[int64]bool{}
	for i, w := range t.weights {
		c.positive = c.positive && w >= 0
		ids[t.wTargets[i]] = true
	}
	c.oneScore = labels.len() == 2 && len(ids) == 1
	if labels.len() == 2 && !c.oneScore && len(t.base) == 1 {
		return nil, errors.New("one base value is ambiguous for two classes that both have weights")
	}
	narrow, err := build[float32](t)
	if err != nil {
		return nil, err
	}
	wide, err := build[float64](t)
	if err != nil {
		return nil, err
	}
	return func(in, out []*value) error {
		if in[0].dtype() == "float64" {
			return classify(wide, c, in, out)
		}
		return classify(narrow, c, in, out)
	}, s.end()
}}

// treeClasses is how scores become labels.
type treeClasses struct {
	labels   classes
	post     transform
	positive bool // no weight is negative
	oneScore bool // of two classes, weights are of one
}

func classify[T float](e *ensemble[T], c *treeClasses, in, out []*value) error {
	s, err := e.sums(in[0], out[2:])
	if err != nil {
		return err
	}
	x, columns, scores, scored := s.x, s.columns, s.scores, s.scored
	texts, integers, err := c.labels.place(out[0], s.n)
	if err != nil {
		return err
	}
	var y []float32
	if out[1] != nil {
		if y, err = place[float32](out[1], int64(s.n), int64(e.targets)); err != nil {
			return err
		}
	}
	spare := make([]float32, 0)
	for i := range s.n {
		if err := out[0].memory.ended(); err != nil {
			return err
		}
		clear(scores)
		clear(scored)
		row := x[i*columns:][:columns]
		fast := e.walksFast(row)
		for first := 0; first < len(e.roots); first += 4 {
			leaves, n := e.four(first, row, fast)
			for _, at := range leaves[:n] {
				leaf := &e.nodes[at]
				for _, w := range e.weights[leaf.yes:leaf.no] {
					scores[w.target] += w.weight
					scored[w.target] = true
				}
			}
		}
		answer := spare
		if y != nil {
			answer = y[i*e.targets:][:e.targets]
		}
		best := finish(e, c, answer, scores, scored)
		if texts != nil {
			texts[i] = c.labels.texts[best]
		} else {
			integers[i] = c.labels.integers[best]
		}
	}
	return nil
}

// finish writes the scores of a row, where row has room for them, and returns the best class.
func finish[T float](e *ensemble[T], c *treeClasses, row []float32, scores []T, scored []bool) int {
	if e.targets != 2 {
		for i, b := range e.base {
			scores[i] += b
			scored[i] = true
		}
		best := -1
		for i, s := range scores {
			if scored[i] && (best < 0 || s > scores[best]) {
				best = i
			}
		}
		for i := range row {
			row[i] = float32(scores[i])
		}
		c.post.all(row)
		return max(best, 0)
	}
	both := scored[1]
	switch len(e.base) {
	case 1:
		scores[0] += e.base[0]
	case 2:
		both = true
		if scored[1] { // then base[0] counts for nothing, and class 0 is the opposite
			scores[1] = e.base[1] + scores[0]
			scores[0] = -scores[1]
		} else {
			scores[0] += e.base[0]
		}
	}
	for i, known := range scored {
		if !known {
			scores[i] = 0
		}
	}
	decisive := scores[0]
	if scored[1] {
		decisive = scores[1]
	}
	limit, by := T(0), opposite
	if c.oneScore && c.positive {
		limit, by = 0.5, complement
	}
	best := 0
	if decisive > limit {
		best = 1
	}
	if len(row) == 0 {
		return best
	}
	if both {
		row[0], row[1] = float32(scores[0]), float32(scores[1])
		c.post.all(row)
	} else {
		c.post.pair(row, float32(scores[0]), by)
	}
	return best
}
