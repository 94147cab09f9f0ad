package native

// Rows in JSON.

import (
	"context"
	"fmt"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// rows reads one JSON row or a list of rows. A row is an object that names the inputs or,
// where there is one, its bare value: lists one deeper than that are a list of rows.
func (a *answers) rows(ctx context.Context, m *served.Model, body []byte) (predict.Tensors, error) {
	inputs := m.Manifest().Inputs
	r := m.Scan(body)
	if r.PeekInto() == '{' {
		a.list = true
		var rows [][]byte
		err := r.List(func(int) error {
			row, err := r.Raw()
			rows = append(rows, row)
			return err
		})
		if err == nil {
			err = r.End()
		}
		if err != nil {
			return nil, served.BadInput("parse JSON rows: %w", err)
		}
		return together(ctx, m, rows, func(i int) string { return fmt.Sprintf("row %d", i) })
	}
	if r.Peek() == '{' || len(inputs) != 1 || inputs[0].DType == tensor.Float16 || inputs[0].DType == tensor.BFloat16 {
		return one(ctx, m, body)
	}
	spec := inputs[0].Spec()
	t, err := r.Tensor(spec.DType, 0)
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, served.BadInput("parse JSON row: input %q: %w", spec.Name, err)
	}
	if a.list = len(t.Shape) == len(spec.Shape); !a.list {
		t = t.Batch()
	}
	return predict.Tensors{spec.Name: t}, nil
}

// maxRows bounds the rows that are parsed one by one, each of which takes far more memory than
// its text does.
const maxRows = 1 << 16

// together joins rows, each as a body of its own would be, to one batch.
func together(ctx context.Context, m *served.Model, rows [][]byte, of func(i int) string) (predict.Tensors, error) {
	if len(rows) > maxRows {
		return nil, served.BadInput("%d rows in one request; at most %d are taken in this form", len(rows), maxRows)
	}
	parts := map[string][]tensor.Tensor{}
	for i, row := range rows {
		in, err := one(ctx, m, row)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", of(i), err)
		}
		for name, t := range in {
			parts[name] = append(parts[name], t)
		}
	}
	inputs := predict.Tensors{}
	for name, list := range parts {
		t, err := tensor.Concat(list...)
		if err != nil {
			return nil, served.BadInput("input %q: the rows have different shapes: %w", name, err)
		}
		inputs[name] = t
	}
	return inputs, m.Fit(inputs)
}

// one reads a row that is an object, or one of another kind than JSON lists can be.
func one(ctx context.Context, m *served.Model, row []byte) (predict.Tensors, error) {
	if _, err := m.Scan(row).Raw(); err != nil {
		return nil, served.BadInput("parse JSON row: %w", err)
	}
	return m.Prepare(ctx, row)
}
