package metrics_test

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/forgo-ml/forgo/internal/metrics"
)

// recorded is what scikit-learn says of random answers, which conformance/metrics.py makes.
type recorded struct {
	Classes []struct {
		Classes           int
		Expected          []int
		Got               [][]int
		Accuracy, Top5    *float64
		Precision, Recall []*float64
		Confusion         [][]int64
	}
	Labels []struct {
		Labels            int
		Expected, Got     [][]int
		ExactMatch        *float64 `json:"exact_match"`
		Precision, Recall []*float64
	}
	Values []struct {
		Expected, Got []float64
		Absolute      *float64 `json:"mean_absolute_error"`
		Squared       *float64 `json:"root_mean_squared_error"`
		R2            *float64
	}
}

func read(t *testing.T) (r recorded) {
	t.Helper()
	text, err := os.ReadFile("../../conformance/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Classes) < 4 || len(r.Labels) < 2 || len(r.Values) < 4 {
		t.Fatal("cases are missing")
	}
	return r
}

func names(n int) (labels []string) {
	for i := range n {
		labels = append(labels, strconv.Itoa(i))
	}
	return labels
}

func close(t *testing.T, what string, got, want *float64, tolerance float64) {
	t.Helper()
	switch {
	case (got == nil) != (want == nil):
		t.Errorf("%s: got %v, scikit-learn says %v", what, got, want)
	case got != nil && math.Abs(*got-*want) > tolerance*max(1, math.Abs(*want)):
		t.Errorf("%s: got %v, scikit-learn says %v", what, *got, *want)
	}
}

func same(t *testing.T, got []metrics.Class, counts []int64, precision, recall []*float64) {
	t.Helper()
	for i, c := range got {
		if c.Label != strconv.Itoa(i) || c.Count != counts[i] {
			t.Errorf("class %d: %+v, want %d examples", i, c, counts[i])
		}
		close(t, "precision of "+c.Label, c.Precision, precision[i], 1e-12)
		close(t, "recall of "+c.Label, c.Recall, recall[i], 1e-12)
	}
}

func TestClassesAreScikitLearns(t *testing.T) {
	for _, r := range read(t).Classes {
		c := metrics.NewClasses(names(r.Classes))
		counts := make([]int64, r.Classes)
		for i, expected := range r.Expected {
			c.Add(expected, r.Got[i])
			counts[expected]++
		}
		if c.Rows() != int64(len(r.Expected)) {
			t.Errorf("%d rows of %d", c.Rows(), len(r.Expected))
		}
		close(t, "accuracy", c.Accuracy(), r.Accuracy, 1e-12)
		close(t, "top 5", c.Top5(), r.Top5, 1e-12)
		same(t, c.Each(), counts, r.Precision, r.Recall)
		var want []metrics.Confusion
		for e, row := range r.Confusion {
			for g, n := range row {
				if e != g && n > 0 {
					want = append(want, metrics.Confusion{Expected: strconv.Itoa(e), Got: strconv.Itoa(g), Count: n})
				}
			}
		}
		slices.SortStableFunc(want, func(a, b metrics.Confusion) int { return cmp.Compare(b.Count, a.Count) })
		if got := c.Confusions(len(want) + 1); !slices.Equal(got, want) {
			t.Errorf("confusions %v, scikit-learn says %v", got, want)
		}
		if got := c.Confusions(1); !slices.Equal(got, want[:1]) {
			t.Errorf("the worst confusion is %v, scikit-learn says %v", got, want[0])
		}
	}
}

func TestLabelsAreScikitLearns(t *testing.T) {
	for _, r := range read(t).Labels {
		l := metrics.NewLabels(names(r.Labels))
		counts := make([]int64, r.Labels)
		for i, expected := range r.Expected {
			l.Add(expected, r.Got[i])
			for _, e := range expected {
				counts[e]++
			}
		}
		if l.Rows() != int64(len(r.Expected)) {
			t.Errorf("%d rows of %d", l.Rows(), len(r.Expected))
		}
		close(t, "exact match", l.ExactMatch(), r.ExactMatch, 1e-12)
		same(t, l.Each(), counts, r.Precision, r.Recall)
	}
}

func TestValuesAreScikitLearns(t *testing.T) {
	for i, r := range read(t).Values {
		var v metrics.Values
		for i, expected := range r.Expected {
			v.Add(expected, r.Got[i])
		}
		if v.Rows() != int64(len(r.Expected)) {
			t.Errorf("%d rows of %d", v.Rows(), len(r.Expected))
		}
		name := strconv.Itoa(i)
		close(t, name+": mean absolute error", v.MeanAbsoluteError(), r.Absolute, 1e-12)
		close(t, name+": root mean squared error", v.RootMeanSquaredError(), r.Squared, 1e-12)
		close(t, name+": R²", v.R2(), r.R2, 1e-6)
	}
}

func TestNothingIsUndefined(t *testing.T) {
	c, l, v := metrics.NewClasses(names(5)), metrics.NewLabels(names(2)), metrics.Values{}
	for i, undefined := range []*float64{
		c.Accuracy(), c.Top5(), c.Each()[0].Precision, l.ExactMatch(), l.Each()[1].Recall,
		v.MeanAbsoluteError(), v.RootMeanSquaredError(), v.R2(),
	} {
		if undefined != nil {
			t.Errorf("value %d of no rows is %v", i, *undefined)
		}
	}
	if c.Confusions(3) == nil {
		t.Error("no confusions are nil, which is null in JSON")
	}
	v.Add(-1e308, 1e308)
	if v.MeanAbsoluteError() != nil || v.RootMeanSquaredError() != nil {
		t.Error("infinite errors are numbers")
	}
}
