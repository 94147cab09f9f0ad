package predict

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// table holds what the cells of each column may be, by input.
type table map[string]column

type column struct {
	bundle.Column
	values map[string]bool
	known  string // the first of them, for errors
}

func newTable(columns []bundle.Column) table {
	made := make(table, len(columns))
	for _, c := range columns {
		var values map[string]bool
		known := slices.Clone(c.Values)
		if c.Type == bundle.Category {
			values = make(map[string]bool, len(c.Values))
			for i, v := range c.Values {
				values[v] = true
				if v == "" {
					known[i] = `""`
				}
			}
		}
		made[c.Input] = column{c, values, tensor.Cut(strings.Join(known, ", "))}
	}
	return made
}

// check refuses a cell of a kind that export did not try: an unknown category, or a missing number in a
// column that had none. The training framework might refuse what the graph answers.
func (t table) check(name string, in tensor.Tensor) error {
	c, ok := t[name]
	if !ok {
		return nil
	}
	if !c.Missing {
		for row, missing := range nans(in) {
			if missing {
				return fmt.Errorf("row %d, column %q: the number is missing, and training saw none missing in this column", row, c.Name)
			}
		}
	}
	if elements, ok := in.Data.([]string); ok && c.values != nil {
		for row, v := range elements {
			if !c.values[v] {
				return fmt.Errorf("row %d, column %q: unknown category %q: send one of %s", row, c.Name, tensor.Cut(v), c.known)
			}
		}
	}
	return nil
}

// nans yields whether each float is NaN.
func nans(in tensor.Tensor) func(yield func(int, bool) bool) {
	return func(yield func(int, bool) bool) {
		switch data := in.Data.(type) {
		case []float32:
			for i, v := range data {
				if !yield(i, v != v) {
					return
				}
			}
		case []float64:
			for i, v := range data {
				if !yield(i, math.IsNaN(v)) {
					return
				}
			}
		}
	}
}
