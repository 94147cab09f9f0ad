// Package metrics counts how answers compare with expected ones, row by row. Its memory grows with the number of
// classes, not of rows. The definitions are scikit-learn's; a value that they leave undefined is nil.
package metrics

import (
	"cmp"
	"math"
	"slices"
)

// Class is how one class or label was answered.
type Class struct {
	Label string `json:"label"`
	// Count is the number of examples with the label.
	Count int64 `json:"count"`
	// Precision is the share of answers with the label that are right; nil if no answer has it.
	Precision *float64 `json:"precision"`
	// Recall is the share of examples with the label that are answered with it; nil if no example has it.
	Recall *float64 `json:"recall"`
}

// Confusion is a class that was answered as another.
type Confusion struct {
	Expected string `json:"expected"`
	Got      string `json:"got"`
	Count    int64  `json:"count"`
}

// Classes counts the answers of a classifier. It is not safe for concurrent use.
type Classes struct {
	tally
	pairs            map[[2]int]int64
	rows, top1, top5 int64
}

// tally counts by label: examples with it, answers with it, and both at once.
type tally struct {
	labels           []string
	count, got, hits []int64
}

func newTally(labels []string) tally {
	n := len(labels)
	return tally{labels, make([]int64, n), make([]int64, n), make([]int64, n)}
}

// Each returns a Class for each label, in their order.
func (t *tally) Each() []Class {
	out := make([]Class, len(t.labels))
	for i, label := range t.labels {
		out[i] = Class{label, t.count[i], share(t.hits[i], t.got[i]), share(t.hits[i], t.count[i])}
	}
	return out
}

// NewClasses returns counts of zero for the classes with these labels.
func NewClasses(labels []string) *Classes {
	return &Classes{tally: newTally(labels), pairs: map[[2]int]int64{}}
}

// Add counts an answer. got are class numbers, best first; the first five count.
func (c *Classes) Add(expected int, got []int) {
	c.rows++
	c.count[expected]++
	c.got[got[0]]++
	if got[0] == expected {
		c.top1++
		c.hits[expected]++
	} else {
		c.pairs[[2]int{expected, got[0]}]++
	}
	if slices.Contains(got[:min(5, len(got))], expected) {
		c.top5++
	}
}

// Rows is the number of answers.
func (c *Classes) Rows() int64 { return c.rows }

// Accuracy is the share of answers whose best class is the expected one.
func (c *Classes) Accuracy() *float64 { return share(c.top1, c.rows) }

// Top5 is the share of answers with the expected class among the best five; nil for five classes or fewer, where it
// says nothing.
func (c *Classes) Top5() *float64 {
	if len(c.labels) <= 5 {
		return nil
	}
	return share(c.top5, c.rows)
}

// Confusions returns the most frequent confusions, at most n; equally frequent ones in the order of the labels.
func (c *Classes) Confusions(n int) []Confusion {
	type pair struct {
		at    [2]int
		count int64
	}
	pairs := make([]pair, 0, len(c.pairs))
	for at, count := range c.pairs {
		pairs = append(pairs, pair{at, count})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.count, a.count), slices.Compare(a.at[:], b.at[:]))
	})
	found := []Confusion{}
	for _, p := range pairs[:min(n, len(pairs))] {
		found = append(found, Confusion{c.labels[p.at[0]], c.labels[p.at[1]], p.count})
	}
	return found
}

// Labels counts the answers of a multi-label model. It is not safe for concurrent use.
type Labels struct {
	tally
	rows, exact int64
}

// NewLabels returns counts of zero for these labels.
func NewLabels(labels []string) *Labels {
	return &Labels{tally: newTally(labels)}
}

// Add counts an answer. Both are numbers of labels, each once, in any order.
func (l *Labels) Add(expected, got []int) {
	l.rows++
	same := len(expected) == len(got)
	for _, i := range expected {
		l.count[i]++
	}
	for _, i := range got {
		l.got[i]++
		if slices.Contains(expected, i) {
			l.hits[i]++
		} else {
			same = false
		}
	}
	if same {
		l.exact++
	}
}

// Rows is the number of answers.
func (l *Labels) Rows() int64 { return l.rows }

// ExactMatch is the share of answers with exactly the expected labels.
func (l *Labels) ExactMatch() *float64 { return share(l.exact, l.rows) }

func share(part, of int64) *float64 {
	if of == 0 {
		return nil
	}
	s := float64(part) / float64(of)
	return &s
}

// Values measures the answers of a regression. It is not safe for concurrent use.
type Values struct {
	rows              int64
	absolute, squared float64 // sums of errors
	mean, spread      float64 // of the expected values; spread is the sum of squares around the mean
}

// Add measures an answer. Both values are finite.
func (v *Values) Add(expected, got float64) {
	v.rows++
	wrong := got - expected
	v.absolute += math.Abs(wrong)
	v.squared += wrong * wrong
	off := expected - v.mean // Welford's sums, which do not cancel
	v.mean += off / float64(v.rows)
	v.spread += off * (expected - v.mean)
}

// Rows is the number of answers.
func (v *Values) Rows() int64 { return v.rows }

// MeanAbsoluteError has the unit of the values.
func (v *Values) MeanAbsoluteError() *float64 {
	if v.rows == 0 {
		return nil
	}
	return finite(v.absolute / float64(v.rows))
}

// RootMeanSquaredError has the unit of the values.
func (v *Values) RootMeanSquaredError() *float64 {
	if v.rows == 0 {
		return nil
	}
	return finite(math.Sqrt(v.squared / float64(v.rows)))
}

// R2 is the coefficient of determination: 1 for perfect answers, 0 for those no better than the mean of the
// expected values. It is nil if these are all equal.
func (v *Values) R2() *float64 {
	if v.spread == 0 {
		return nil
	}
	return finite(1 - v.squared/v.spread)
}

// finite returns nil for a sum that has left the range of float64.
func finite(x float64) *float64 {
	if x-x != 0 {
		return nil
	}
	return &x
}
