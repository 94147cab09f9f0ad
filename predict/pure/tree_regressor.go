package pure

// The operator TreeEnsembleRegressor, and what it shares with the classifier.

import "fmt"

func checkColumns(need, have int) error {
	if have < need {
		return fmt.Errorf("its trees use column %d, the input has %d columns", need-1, have)
	}
	return nil
}

var treeRegressor = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, scratch: 5, prepare: func(n *node) (kernel, error) {
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
	t.indices = how == "MIN" || how == "MAX"
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
	walker     walker[T]
}

func (e *ensemble[T]) sums(in *value, scratch []*value) (s sums[T], err error) {
	if s.x, s.n, s.columns, err = rows[T](in, scratch[0]); err != nil {
		return s, err
	}
	if err = checkColumns(e.columns, s.columns); err != nil {
		return s, err
	}
	if s.scores, err = allocate[T](scratch[1], int64(e.targets)); err != nil {
		return s, err
	}
	if s.scored, err = allocate[bool](scratch[2], int64(e.targets)); err != nil {
		return s, err
	}
	s.walker, err = e.walker(scratch[3], scratch[4])
	return s, err
}

func regress[T float](e *ensemble[T], how string, post transform, in, out []*value) error {
	s, err := e.sums(in[0], out[1:])
	if err != nil {
		return err
	}
	y, err := allocate[float32](out[0], int64(s.n), int64(e.targets))
	if err != nil {
		return err
	}
	for i := range s.n {
		if err := out[0].memory.ended(); err != nil {
			return err
		}
		e.aggregate(&s, s.x[i*s.columns:][:s.columns], how)
		row := y[i*e.targets:][:e.targets]
		for j, v := range s.scores {
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
func (e *ensemble[T]) aggregate(s *sums[T], x []T, how string) {
	scores, scored := s.scores, s.scored
	clear(scores)
	clear(scored)
	leaves, sum := e.leaves(&s.walker, x)
	if how == "MIN" || how == "MAX" {
		e.choose(s, leaves, how == "MIN")
	} else {
		e.add(s, leaves, sum)
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

// add adds the weights of a row's leaves to its scores.
func (e *ensemble[T]) add(s *sums[T], leaves []T, sum T) {
	switch f := &e.fast; {
	case f.single && f.one:
		s.scores[f.target[0]], s.scored[f.target[0]] = sum, true
	case f.single:
		for i, weight := range leaves {
			to := f.target[i]
			s.scores[to] += weight
			s.scored[to] = true
		}
	default:
		for _, leaf := range leaves {
			node := &e.nodes[int32(leaf)]
			for _, w := range e.weights[node.yes:node.no] {
				s.scores[w.target] += w.weight
				s.scored[w.target] = true
			}
		}
	}
}

// choose takes the least or the largest of the weights that a row's leaves have for each target.
func (e *ensemble[T]) choose(s *sums[T], leaves []T, least bool) {
	for _, leaf := range leaves {
		node := &e.nodes[int32(leaf)]
		for _, w := range e.weights[node.yes:node.no] {
			to := &s.scores[w.target]
			if !s.scored[w.target] || least && w.weight < *to || !least && w.weight > *to {
				*to = w.weight
			}
			s.scored[w.target] = true
		}
	}
}

func (e *ensemble[T]) baseOf(i int) T {
	if len(e.base) == e.targets {
		return e.base[i]
	}
	return 0
}
