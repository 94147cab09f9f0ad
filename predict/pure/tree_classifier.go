package pure

// The operator TreeEnsembleClassifier. Where the specification does not say how two classes share one score, it
// follows ONNX Runtime.

import "errors"

var treeClassifier = operator{since: 1, inputs: [2]int{1, 1}, outputs: 2, scratch: 5, prepare: func(n *node) (kernel, error) {
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
	narrow, wide, err := buildBoth(t)
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
	oneScore bool // two classes, but only one has weights
}

func classify[T float](e *ensemble[T], c *treeClasses, in, out []*value) error {
	s, err := e.sums(in[0], out[2:])
	if err != nil {
		return err
	}
	scores, scored := s.scores, s.scored
	strs, integers, err := c.labels.allocate(out[0], s.n)
	if err != nil {
		return err
	}
	var y []float32
	if out[1] != nil {
		if y, err = allocate[float32](out[1], int64(s.n), int64(e.targets)); err != nil {
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
		leaves, sum := e.leaves(&s.walker, s.x[i*s.columns:][:s.columns])
		e.add(&s, leaves, sum)
		answer := spare
		if y != nil {
			answer = y[i*e.targets:][:e.targets]
		}
		best := finish(e, c, answer, scores, scored)
		if strs != nil {
			strs[i] = c.labels.strings[best]
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
		if scored[1] {
			// base[0] does not count, and class 0 has the opposite score.
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
