package tfserving

// The bodies of classify and regress requests: examples, and what they share.

import (
	"errors"
	"fmt"
	"slices"

	"github.com/forgo-ml/forgo/internal/scan"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// parseExamples reads the body of a classify or regress request: examples that name their
// features, and a context of those that all share. A feature's values fill the input's row.
func parseExamples(m *served.Model, verb string, body []byte) (*request, error) {
	q := &request{m: m}
	r := m.Scan(body)
	shared := map[string]tensor.Tensor{}
	parts := map[string][]tensor.Tensor{}
	n := -1
	err := fields(r, verb, func(name string) error {
		switch name {
		case "context":
			return q.example(r, func(name string, t tensor.Tensor) error {
				shared[name] = t
				return nil
			})
		case "examples":
			n = 0
			return r.List(func(i int) error {
				if n++; n > maxRows {
					return fmt.Errorf("there are more than %d", maxRows)
				}
				err := q.example(r, func(name string, t tensor.Tensor) error {
					for len(parts[name]) < i { // left out so far: the context must have it
						parts[name] = append(parts[name], tensor.Tensor{})
					}
					parts[name] = append(parts[name], t)
					return nil
				})
				if err != nil {
					return fmt.Errorf("example %d: %w", i, err)
				}
				return nil
			})
		}
		return errors.New("there is no such field; there are examples, context and signature_name")
	})
	if err == nil && n < 0 {
		err = errors.New("it has no examples")
	}
	if err == nil && n == 0 {
		err = errors.New("examples: it is empty")
	}
	if err == nil {
		q.columns, err = q.fill(parts, shared, n)
	}
	if err != nil {
		return nil, served.BadInput("the body is not a request with examples: %w", err)
	}
	return q, nil
}

// fill puts shared values where examples leave a feature out.
func (q *request) fill(parts map[string][]tensor.Tensor, shared map[string]tensor.Tensor, n int) (predict.Tensors, error) {
	for name := range shared {
		if parts[name] == nil {
			parts[name] = []tensor.Tensor{}
		}
	}
	elements := 0
	for name, rows := range parts {
		if elements += n * shared[name].Len(); elements > q.m.MaxElements {
			return nil, fmt.Errorf("context: feature %q: there are more than %d elements", name, q.m.MaxElements)
		}
		rows = append(rows, make([]tensor.Tensor, max(0, n-len(rows)))...)
		for i := range rows {
			if rows[i].Data != nil {
				continue
			}
			t, ok := shared[name]
			if !ok {
				return nil, fmt.Errorf("example %d: feature %q is missing, in the context too", i, name)
			}
			rows[i] = t
		}
		parts[name] = rows
	}
	return join(parts)
}

// example reads one example's features, each shaped as a row of its input.
func (q *request) example(r *scan.Reader, each func(name string, t tensor.Tensor) error) error {
	seen := map[string]bool{}
	return q.named(r, func(spec tensor.Spec, t tensor.Tensor) error {
		if seen[spec.Name] {
			return fmt.Errorf("feature %q is given twice", spec.Name)
		}
		seen[spec.Name] = true
		if row := spec.Shape[1:]; !slices.Contains(row, -1) {
			if n, err := tensor.Count(row); err != nil || n != int64(t.Len()) {
				return fmt.Errorf("feature %q has %d values, it takes %v", spec.Name, t.Len(), row)
			}
			t.Shape = row
		}
		return each(spec.Name, t.Batch())
	})
}
