package native

// Rows in JSON.

import (
	"fmt"
	"maps"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// rows reads one JSON row or a list of rows. A row is an object that names the inputs or,
// where there is one, its bare value: lists one deeper than that are a list of rows.
func (a *answers) rows(m *served.Request, body []byte) (predict.Tensors, error) {
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
		return together(m, rows, func(i int) string { return fmt.Sprintf("row %d", i) })
	}
	if r.Peek() == '{' || len(inputs) != 1 || inputs[0].DType == tensor.Float16 || inputs[0].DType == tensor.BFloat16 {
		return together(m, [][]byte{body}, nil)
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

// together joins rows, each as a body of its own would be, to one batch. Errors name a row by
// of's words, which may be nil where there is one row.
func together(m *served.Request, rows [][]byte, of func(i int) string) (predict.Tensors, error) {
	if len(rows) > maxRows {
		return nil, served.BadInput("%d rows in one request; at most %d are taken in this form", len(rows), maxRows)
	}
	at := func(i int, err error) error {
		if of == nil {
			return err
		}
		return fmt.Errorf("%s: %w", of(i), err)
	}
	manifest := m.Manifest()
	beside := manifest.Beside()
	parts := map[string][]tensor.Tensor{}
	var pictures [][]byte
	for i, row := range rows {
		in, picture, err := one(m.Model, row, beside)
		if err != nil {
			return nil, at(i, err)
		}
		if manifest.Picture != nil {
			pictures = append(pictures, picture)
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
	if err := m.Fit(inputs); err != nil || pictures == nil {
		return inputs, err
	}
	made, err := m.Pictures(pictures, func(i int) string { return at(i, errPicture).Error() })
	if err != nil {
		return nil, err
	}
	maps.Copy(inputs, made)
	return inputs, nil
}

var errPicture = fmt.Errorf("input %q", bundle.PictureName)

// one reads a row that is an object, or one of another kind than JSON lists can be: the inputs
// that are given in JSON, and the picture where the model takes one beside them.
func one(m *served.Model, row []byte, beside []tensor.Spec) (in predict.Tensors, picture []byte, err error) {
	if _, err := m.Scan(row).Raw(); err != nil {
		return nil, nil, served.BadInput("parse JSON row: %w", err)
	}
	if m.Manifest().Picture != nil {
		if picture, row, err = bundle.SplitRow(row); err != nil {
			return nil, nil, served.BadInput("%w", err)
		}
	}
	if in, err = tensor.ParseRow(row, beside); err != nil {
		return nil, nil, served.BadInput("%w", err)
	}
	return in, picture, nil
}
