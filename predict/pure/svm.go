package pure

// SVMClassifier and SVMRegressor.

import (
	"errors"
	"fmt"
	"math"
)

// vectors are support vectors and the kernel that rows are compared to them with.
type vectors struct {
	kind                string
	gamma, coef, degree float32
	data                []float32 // [n, columns]
	n, columns          int
}

func readVectors(s *settings, n int) (*vectors, error) {
	v := &vectors{kind: s.text("kernel_type", "LINEAR"), data: s.floats("support_vectors"), n: n}
	if p := s.floats("kernel_params"); len(p) == 3 {
		v.gamma, v.coef, v.degree = p[0], p[1], p[2]
	} else if len(p) != 0 {
		return nil, fmt.Errorf("it has %d kernel_params, not 3", len(p))
	}
	switch v.kind {
	case "LINEAR", "POLY", "RBF", "SIGMOID":
	default:
		return nil, fmt.Errorf("its kernel_type %q is not supported", v.kind)
	}
	if n < 1 || len(v.data) == 0 || len(v.data)%n != 0 {
		return nil, fmt.Errorf("%d numbers do not make %d support vectors", len(v.data), n)
	}
	v.columns = len(v.data) / n
	return v, nil
}

// compare fills k with the kernel of a row and each support vector.
func (v *vectors) compare(k, x []float32) {
	for i := range k {
		sum := float32(0)
		vector := v.data[i*v.columns:][:len(x)]
		if v.kind == "RBF" {
			for j, a := range x {
				d := a - vector[j]
				sum += d * d
			}
			k[i] = float32(math.Exp(float64(-v.gamma * sum)))
			continue
		}
		for j, a := range x {
			sum += a * vector[j]
		}
		switch v.kind {
		case "POLY":
			sum = float32(math.Pow(float64(v.gamma*sum+v.coef), float64(v.degree)))
		case "SIGMOID":
			sum = float32(math.Tanh(float64(v.gamma*sum + v.coef)))
		}
		k[i] = sum
	}
}

var svmRegressor = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, scratch: 2, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	w, rho, oneClass := s.floats("coefficients"), s.floats("rho"), s.integer("one_class", 0) != 0
	if post, err := readTransform(s); err != nil || post != noTransform {
		return nil, errors.Join(err, errors.New("a post_transform is not supported"))
	}
	supports := int(s.integer("n_supports", 0))
	if len(rho) == 0 || len(w) == 0 {
		return nil, errors.New("it has no coefficients, or no rho")
	}
	if supports == 0 { // the coefficients are the one vector
		s.ignore("support_vectors", "kernel_type", "kernel_params")
		v := &vectors{kind: "LINEAR", data: w, n: 1, columns: len(w)}
		return svmRegress(v, []float32{1}, rho[0], oneClass), s.end()
	}
	v, err := readVectors(s, supports)
	if err != nil {
		return nil, err
	}
	if len(w) != supports {
		return nil, fmt.Errorf("it has %d coefficients for %d support vectors", len(w), supports)
	}
	return svmRegress(v, w, rho[0], oneClass), s.end()
}}

func svmRegress(v *vectors, w []float32, rho float32, oneClass bool) kernel {
	return func(in, out []*value) error {
		x, n, columns, err := rows[float32](in[0], out[1])
		if err != nil {
			return err
		}
		if columns != v.columns {
			return fmt.Errorf("it takes %d columns, the input has %d", v.columns, columns)
		}
		y, err := allocate[float32](out[0], int64(n), 1)
		if err != nil {
			return err
		}
		k, err := allocate[float32](out[2], int64(v.n))
		if err != nil {
			return err
		}
		for i := range n {
			if err := out[0].memory.ended(); err != nil {
				return err
			}
			v.compare(k, x[i*columns:][:columns])
			sum := 0.0
			for j, a := range k {
				sum += float64(a) * float64(w[j])
			}
			y[i] = float32(sum + float64(rho))
			if oneClass {
				y[i] = 1
				if sum+float64(rho) <= 0 {
					y[i] = -1
				}
			}
		}
		return nil
	}
}

// svmClasses is a classifier of support vectors: one against one.
type svmClasses struct {
	*vectors
	labels       classes
	each         []int64 // support vectors by class
	start        []int
	w, rho, a, b []float32
	positive     bool
	post         transform
}

var svmClassifier = operator{since: 1, inputs: [2]int{1, 1}, outputs: 2, scratch: 5, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	labels, err := readClasses(s, "classlabels_strings", "classlabels_ints")
	if err != nil {
		return nil, err
	}
	c := &svmClasses{labels: labels, each: s.integers("vectors_per_class"), w: s.floats("coefficients"), rho: s.floats("rho"), a: s.floats("prob_a"), b: s.floats("prob_b")}
	if c.post, err = readTransform(s); err != nil {
		return nil, err
	}
	supports, classes := 0, labels.len()
	for _, n := range c.each {
		if n < 0 || n > math.MaxInt32 {
			return nil, fmt.Errorf("%d support vectors are invalid", n)
		}
		c.start = append(c.start, supports)
		supports += int(n)
	}
	if supports == 0 {
		return nil, errors.New("a linear SVM without support vectors is not supported")
	}
	if c.vectors, err = readVectors(s, supports); err != nil {
		return nil, err
	}
	pairs := classes * (classes - 1) / 2
	if classes < 2 || classes > 1<<10 || len(c.each) != classes || len(c.w) != (classes-1)*supports || len(c.rho) < pairs ||
		len(c.a) != len(c.b) || len(c.a) != 0 && len(c.a) < pairs {
		return nil, errors.New("its lists differ in length")
	}
	c.positive = true
	for _, w := range c.w {
		c.positive = c.positive && w >= 0
	}
	return c.classify, s.end()
}}

func (c *svmClasses) classify(in, out []*value) error {
	x, n, columns, err := rows[float32](in[0], out[2])
	if err != nil {
		return err
	}
	if columns != c.columns {
		return fmt.Errorf("it takes %d columns, the input has %d", c.columns, columns)
	}
	classes := c.labels.len()
	pairs := classes * (classes - 1) / 2
	strs, integers, err := c.labels.allocate(out[0], n)
	if err != nil {
		return err
	}
	k, err := allocate[float32](out[3], int64(c.n))
	if err != nil {
		return err
	}
	scores, err := allocate[float32](out[4], int64(pairs))
	if err != nil {
		return err
	}
	votes, err := allocate[int64](out[5], int64(classes))
	if err != nil {
		return err
	}
	work, err := allocate[float32](out[6], int64(2*classes*classes+3*classes))
	if err != nil {
		return err
	}
	width := classes
	if len(c.a) == 0 && classes > 2 {
		width = pairs
	}
	var y []float32
	if out[1] != nil {
		if y, err = allocate[float32](out[1], int64(n), int64(width)); err != nil {
			return err
		}
	}
	for i := range n {
		if err := out[0].memory.ended(); err != nil {
			return err
		}
		c.compare(k, x[i*columns:][:columns])
		c.vote(scores, votes, k)
		row := work[2*classes*classes:][:classes]
		if y != nil {
			row = y[i*width:][:width]
		}
		best := c.finish(row, scores, votes, work[:2*classes*classes], work[2*classes*classes+classes:])
		if strs != nil {
			strs[i] = c.labels.strings[best]
		} else {
			integers[i] = c.labels.integers[best]
		}
	}
	return nil
}

// vote decides each pair of classes.
func (c *svmClasses) vote(scores []float32, votes []int64, k []float32) {
	clear(votes)
	at := 0
	for i := range c.each {
		for j := i + 1; j < len(c.each); j++ {
			sum := 0.0
			for m := c.start[i]; m < c.start[i]+int(c.each[i]); m++ {
				sum += float64(c.w[(j-1)*c.n+m] * k[m])
			}
			for m := c.start[j]; m < c.start[j]+int(c.each[j]); m++ {
				sum += float64(c.w[i*c.n+m] * k[m])
			}
			sum += float64(c.rho[at])
			scores[at] = float32(sum)
			at++
			if sum > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
		}
	}
}

// finish writes a row's scores and returns the best class.
func (c *svmClasses) finish(row, scores []float32, votes []int64, work, more []float32) int {
	best := 0
	for i, v := range votes {
		if v > votes[best] {
			best = i
		}
	}
	classes := len(votes)
	switch {
	case len(c.a) > 0:
		r, at := work[:classes*classes], 0
		clear(r)
		for i := range classes {
			for j := i + 1; j < classes; j++ {
				p := 1 - float32(sigmoid64(float64(scores[at]*c.a[at]+c.b[at])))
				p = min(max(p, 1e-7), 1-1e-7)
				r[i*classes+j], r[j*classes+i] = p, 1-p
				at++
			}
		}
		couple(row[:classes], r, work[classes*classes:], more)
		c.post.all(row)
	case classes > 2:
		copy(row, scores)
		c.post.all(row)
	default:
		if c.post == noTransform {
			row[0], row[1] = -scores[0], scores[0]
		} else {
			row[0], row[1] = 1-scores[0], scores[0]
			if c.post != noTransform {
				c.post.all(row)
			}
		}
	}
	return best
}

// couple makes the probabilities of classes of those of pairs: method 2 of Wu, Lin and Weng,
// Probability Estimates for Multi-class Classification by Pairwise Coupling
// (https://www.csie.ntu.edu.tw/~cjlin/papers/svmprob/svmprob.pdf), with libsvm's stopping rule.
func couple(p, r, q, qp []float32) {
	n := len(p)
	clear(q)
	for i := range n {
		p[i] = 1 / float32(n)
		for j := range n {
			if j == i {
				continue
			}
			q[i*n+i] += r[j*n+i] * r[j*n+i]
			q[i*n+j] = -r[j*n+i] * r[i*n+j]
		}
	}
	limit := 0.005 / float32(n)
	for range 100 {
		total, worst := float32(0), float32(0)
		for i := range n {
			qp[i] = 0
			for j := range n {
				qp[i] += q[i*n+j] * p[j]
			}
			total += p[i] * qp[i]
		}
		for i := range n {
			worst = max(worst, abs32(qp[i]-total))
		}
		if worst < limit {
			return
		}
		for i := range n {
			d := (-qp[i] + total) / q[i*n+i]
			p[i] += d
			total = (total + d*(d*q[i*n+i]+2*qp[i])) / (1 + d) / (1 + d)
			for j := range n {
				qp[j] = (qp[j] + d*q[i*n+j]) / (1 + d)
				p[j] /= 1 + d
			}
		}
	}
}
