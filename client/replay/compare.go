package replay

// Comparing answers with the recorded ones.

import (
	"fmt"
	"math"
	"slices"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Row is a server's answer to one case: Outputs, Classes or Label.
type Row struct {
	Outputs tensor.Map      // by the bundle's names, with a batch of one
	Classes []predict.Class // labels with scores
	Label   *string         // the best class alone
	Ordered bool            // Classes must come best first
	JSON    bool            // NaN and infinities may have come as null
}

// Rows splits a batch of outputs, by the bundle's names, into rows.
func Rows(outputs tensor.Map, n int) ([]Row, error) {
	list := make([]Row, n)
	for name, t := range outputs {
		if t.Rows() != n {
			return nil, fmt.Errorf("tensor %q has shape %v for %d cases", name, t.Shape, n)
		}
		for i := range list {
			if list[i].Outputs == nil {
				list[i].Outputs = tensor.Map{}
			}
			list[i].Outputs[name] = t.Slice(i, i+1)
		}
	}
	return list, nil
}

// compare returns the largest difference between an answer and the recorded one, and whether the best
// labels are equal. The error says what exceeds the tolerance.
func compare(m *bundle.Manifest, want bundle.Recorded, got Row) (worst float64, matches bool, err error) {
	if got.Classes != nil {
		return compareClasses(m, want, got)
	}
	if got.Label != nil {
		matches, err = best(m, want, []predict.Class{{Label: *got.Label}})
		return 0, matches, err
	}
	for _, o := range m.Outputs {
		t, ok := got.Outputs[o.Name]
		if !ok {
			// The protocol's reader has checked that what must be there is.
			continue
		}
		recorded := want.Outputs[o.Name]
		if got.JSON {
			t, recorded = finite(t), finite(recorded)
		}
		d, e := difference(t, recorded)
		if e != nil {
			d, e = math.Inf(1), fmt.Errorf("tensor %q: %w", o.Name, e)
		} else if d > m.Tolerance.Model {
			e = fmt.Errorf("tensor %q differs by %.3g, tolerance %.0e", o.Name, d, m.Tolerance.Model)
		}
		worst = max(worst, d)
		if err == nil {
			err = e
		}
	}
	if !m.Labelled() || math.IsInf(worst, 1) {
		return worst, false, err
	}
	if _, ok := got.Outputs[m.Outputs[0].Name]; !ok {
		return worst, false, err
	}
	answer, e := predict.Label(m, got.Outputs, 0)
	if e == nil {
		matches, e = best(m, want, answer.Classes)
	}
	if err == nil {
		err = e
	}
	return worst, matches, err
}

func best(m *bundle.Manifest, want bundle.Recorded, classes []predict.Class) (bool, error) {
	if m.Task != bundle.Classification {
		err := predict.SameLabels(m, want.Case, classes)
		return err == nil, err
	}
	top := classes[0]
	for _, c := range classes {
		if c.Score > top.Score {
			top = c
		}
	}
	if top.Label != want.Label {
		return false, fmt.Errorf("answered %q, training answered %q", top.Label, want.Label)
	}
	return true, nil
}

func compareClasses(m *bundle.Manifest, want bundle.Recorded, got Row) (worst float64, matches bool, err error) {
	recorded, err := predict.Label(m, want.Outputs, 0)
	if err != nil {
		return math.Inf(1), false, err
	}
	if len(got.Classes) != len(recorded.Classes) {
		return math.Inf(1), false, fmt.Errorf("%d labels, the bundle has %d", len(got.Classes), len(recorded.Classes))
	}
	scores := map[string]float32{}
	for _, c := range recorded.Classes {
		scores[c.Label] = c.Score
	}
	for i, c := range got.Classes {
		score, ok := scores[c.Label]
		if !ok {
			return math.Inf(1), false, fmt.Errorf("label %q is not the bundle's, or occurs twice", c.Label)
		}
		delete(scores, c.Label)
		// Compare them as tensor elements are compared.
		d, e := tensor.Difference(finite(tensor.Tensor{Data: []float32{c.Score}}), finite(tensor.Tensor{Data: []float32{score}}))
		if e == nil && d > m.Tolerance.Model {
			e = fmt.Errorf("the score of label %q differs by %.3g, tolerance %.0e", c.Label, d, m.Tolerance.Model)
		}
		if e == nil && got.Ordered && i > 0 && c.Score > got.Classes[i-1].Score {
			e = fmt.Errorf("label %q comes after one with a lower score", c.Label)
		}
		worst = max(worst, d)
		if err == nil {
			err = e
		}
	}
	matches, e := best(m, want, got.Classes)
	if err == nil {
		err = e
	}
	return worst, matches, err
}

// finite returns a tensor with NaN in place of infinities, which JSON carries as null, too.
func finite(t tensor.Tensor) tensor.Tensor {
	if !float(t) {
		return t
	}
	numbers, err := t.Floats()
	if err != nil || !slices.ContainsFunc(numbers, func(x float64) bool { return math.IsInf(x, 0) }) {
		return t
	}
	for i, x := range numbers {
		if math.IsInf(x, 0) {
			numbers[i] = math.NaN()
		}
	}
	return tensor.Tensor{Shape: t.Shape, Data: numbers}
}

// difference is like [tensor.Difference], but compares floats of different widths by value, since a server
// may compute or write in another width.
func difference(got, want tensor.Tensor) (float64, error) {
	if got.DType() != want.DType() && float(got) && float(want) {
		a, err := got.Floats()
		if err != nil {
			return 0, err
		}
		b, err := want.Floats()
		if err != nil {
			return 0, err
		}
		got, want = tensor.Tensor{Shape: got.Shape, Data: a}, tensor.Tensor{Shape: want.Shape, Data: b}
	}
	return tensor.Difference(got, want)
}

func float(t tensor.Tensor) bool {
	switch t.DType() {
	case tensor.Float16, tensor.BFloat16, tensor.Float32, tensor.Float64:
		return true
	}
	return false
}
