package pure

// The operator TreeEnsembleRegressor, and what it shares with the classifier.

import "fmt"

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
	narrow, wide, err := buildBoth(t)
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

// sums holds the rows of a run, and space for the scores of one row.
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

// aggregate computes the scores of one row, base values included. With several targets, a target without a weight in
// the row's leaves stays 0.
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
