package native

// Rows in JSON.

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// rows reads one JSON row or a list of rows. A row is an object that names the inputs; for a single input, its
// bare value; of a table, a list of its values. One more level of lists is a list of rows.
//
//forgo:reader native rows
func (a *answers) rows(m *served.Request, body []byte) (predict.Tensors, error) {
	manifest := m.Manifest()
	r := m.Payload().New(body)
	in := manifest.Row()
	a.list = r.Several(in)
	next := r.PeekInto()
	if a.list && (next == '{' || next == '[' && in.Table) {
		return a.objects(m, r)
	}
	if !in.Picture && len(in.Specs) == 1 && r.Peek() != '{' && !(in.Table && r.Peek() == '[' && !a.list) {
		spec := in.Specs[0]
		t, err := r.Input(spec, a.list)
		if err == nil {
			err = r.End()
		}
		if err != nil {
			return nil, served.BadInput("parse JSON row: input %q: %w", spec.Name, err)
		}
		inputs := tensor.NewMap()
		inputs[spec.Name] = t
		return inputs, nil
	}
	return together(m, [][]byte{body}, nil)
}

// objects reads a list of rows that are objects, or lists of a table's values.
func (a *answers) objects(m *served.Request, r *payload.Reader) (predict.Tensors, error) {
	j := joiner{m: m, row: m.Manifest().Row(), at: func(i int, err error) error { return fmt.Errorf("row %d: %w", i, err) }}
	err := r.List(func(i int) error {
		if i == maxRows {
			return errTooMany
		}
		return j.add(r)
	})
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, served.BadInput("parse JSON rows: %w", err)
	}
	return j.inputs()
}

var errTooMany = fmt.Errorf("JSON carries at most %d rows: send more as CSV or NumPy arrays", maxRows)

// maxRows bounds rows that are parsed one by one, since each takes far more memory than its text.
const maxRows = 1 << 16

// together joins rows, each as in a body of its own, into one batch. Errors name a row with of, which may
// be nil for a single row.
func together(m *served.Request, rows [][]byte, of func(i int) string) (predict.Tensors, error) {
	j := joiner{m: m, row: m.Manifest().Row(), at: func(i int, err error) error {
		if of == nil {
			return err
		}
		return fmt.Errorf("%s: %w", of(i), err)
	}}
	for _, row := range rows {
		r := m.Payload().New(row)
		err := j.add(r)
		if err == nil {
			err = r.End()
		}
		if err != nil {
			return nil, served.BadInput("parse JSON row: %w", err)
		}
	}
	return j.inputs()
}

// lines reads a JSON row from each line, and skips empty lines.
//
//forgo:reader native lines
func lines(m *served.Request, body []byte) (predict.Tensors, error) {
	j := joiner{m: m, row: m.Manifest().Row()}
	line := 0
	j.at = func(_ int, err error) error { return fmt.Errorf("line %d: %w", line, err) }
	var numbers []int // the lines of the rows
	for text := range bytes.Lines(body) {
		line++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		if j.n == maxRows {
			return nil, served.BadInput("%w", errTooMany)
		}
		numbers = append(numbers, line)
		r := m.Payload().New(text)
		err := j.add(r)
		if err == nil {
			if err = r.End(); err != nil {
				err = j.at(0, err)
			}
		}
		if err != nil {
			return nil, served.BadInput("parse JSON lines: %w", err)
		}
	}
	if j.n == 0 {
		return nil, served.BadInput("the body has no rows")
	}
	j.at = func(i int, err error) error { return fmt.Errorf("line %d: %w", numbers[i], err) }
	return j.inputs()
}

// joiner joins rows into one batch.
type joiner struct {
	m        *served.Request
	row      payload.Inputs
	at       func(i int, err error) error // names a row
	n        int
	parts    map[string][]tensor.Tensor
	pictures [][]byte
	elements int
}

// add reads the next row.
func (j *joiner) add(r *payload.Reader) error {
	in, picture, err := r.Row(j.row)
	if err != nil {
		return j.at(j.n, err)
	}
	j.n++
	if j.row.Picture {
		if len(j.pictures) == j.m.MaxPictures {
			return fmt.Errorf("more than %d pictures in one request", j.m.MaxPictures)
		}
		j.pictures = append(j.pictures, picture)
	}
	if j.parts == nil {
		j.parts = map[string][]tensor.Tensor{}
	}
	for name, t := range in {
		if j.elements += t.Len(); j.elements > j.m.MaxElements {
			return fmt.Errorf("the request has more than the limit of %d elements", j.m.MaxElements)
		}
		j.parts[name] = append(j.parts[name], t)
	}
	return nil
}

// inputs returns the rows that were read, as one batch.
func (j *joiner) inputs() (predict.Tensors, error) {
	inputs := predict.Tensors{}
	for name, list := range j.parts {
		t, err := j.m.Concat(list)
		if err != nil {
			return nil, served.BadInput("input %q: the rows have different shapes: %w", name, err)
		}
		inputs[name] = t
	}
	if !j.row.Picture {
		return inputs, nil
	}
	made, err := j.m.Pictures(j.pictures, func(i int) string { return j.at(i, errPicture).Error() })
	if err != nil {
		return nil, err
	}
	maps.Copy(inputs, made)
	return inputs, nil
}

var errPicture = fmt.Errorf("input %q", bundle.PictureName)
