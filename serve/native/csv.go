package native

// Tables in CSV.

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/forgo-ml/forgo/internal/scan"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// column is where a CSV's column goes: to one element of each row of an input.
type column struct {
	input   string
	element int
}

// table reads a CSV with a header. A column is named as its input or, where the input's row
// has several elements, NAME[0], NAME[1] and so on; their order is free.
func table(m *served.Model, body []byte) (predict.Tensors, error) {
	r := csv.NewReader(bytes.NewReader(body))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return nil, served.BadInput("parse CSV: no header: %w", err)
	}
	places, cells, err := columns(m, header)
	if err != nil {
		return nil, served.BadInput("parse CSV: header: %w", err)
	}
	names := append([]string{}, header...)
	rows := int64(0)
	for ; ; rows++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, served.BadInput("parse CSV: %w", err)
		}
		if n := (int(rows) + 1) * len(record); n > m.MaxElements {
			return nil, served.BadInput("parse CSV: row %d: there are more than %d elements", rows, m.MaxElements)
		}
		for i, text := range record {
			c := cells[places[i].input]
			if err := c.set(places[i].element, text); err != nil {
				line, _ := r.FieldPos(i)
				return nil, served.BadInput("parse CSV: line %d, column %q: %w", line, names[i], err)
			}
		}
		for _, c := range cells {
			c.endRow()
		}
	}
	inputs := predict.Tensors{}
	for name, c := range cells {
		if inputs[name], err = c.tensor(rows); err != nil {
			return nil, served.BadInput("parse CSV: input %q: %w", name, err)
		}
	}
	return inputs, nil
}

// columns finds each column's place, and makes room for each input's row.
func columns(m *served.Model, header []string) ([]column, map[string]*cells, error) {
	known := map[string]column{}
	room := map[string]*cells{}
	var all []string
	for _, info := range m.Manifest().Inputs {
		spec := info.Spec()
		n, err := tensor.Count(spec.Shape[1:])
		if err != nil || spec.DType.ElementSize() == 2 && spec.DType != tensor.Int16 && spec.DType != tensor.Uint16 {
			return nil, nil, fmt.Errorf("input %q is %s%v, which a CSV cannot give", spec.Name, spec.DType, spec.Shape)
		}
		room[spec.Name] = &cells{spec: spec, row: make([]string, n)}
		for i := range int(n) {
			name := spec.Name
			if n > 1 {
				name = fmt.Sprintf("%s[%d]", spec.Name, i)
			}
			known[name] = column{spec.Name, i}
			all = append(all, name)
		}
	}
	var places []column
	seen := map[string]bool{}
	for i, name := range header {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff") // the mark with which spreadsheets begin
		}
		name = strings.TrimSpace(name)
		place, ok := known[name]
		if !ok {
			return nil, nil, fmt.Errorf("there is no column %q; the model takes %q", name, all)
		}
		if seen[name] {
			return nil, nil, fmt.Errorf("column %q is there twice", name)
		}
		seen[name] = true
		places = append(places, place)
	}
	for _, name := range all {
		if !seen[name] {
			return nil, nil, fmt.Errorf("column %q is missing", name)
		}
	}
	return places, room, nil
}

// cells gathers one input's elements as JSON, row by row.
type cells struct {
	spec tensor.Spec
	row  []string
	text []byte
}

// set reads a cell: text as it is, anything else as JSON writes it.
func (c *cells) set(element int, text string) error {
	c.row[element] = text
	if c.spec.DType == tensor.String {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%.40q is not UTF-8", text)
		}
		return nil
	}
	if text = strings.TrimSpace(text); text == "" {
		return errors.New("the cell is empty")
	}
	if c.spec.DType == tensor.Bool {
		text = strings.ToLower(text)
	}
	r := scan.New([]byte(text))
	t, err := r.Tensor(c.spec.DType, 1)
	if err != nil || r.End() != nil || len(t.Shape) != 0 {
		return fmt.Errorf("%.40q is not a %s", text, c.spec.DType)
	}
	c.row[element] = text
	return nil
}

func (c *cells) endRow() {
	for _, text := range c.row {
		c.text = append(c.text, ',')
		if c.spec.DType == tensor.String {
			c.text = scan.AppendText(c.text, text)
		} else {
			c.text = append(c.text, text...)
		}
	}
}

func (c *cells) tensor(rows int64) (tensor.Tensor, error) {
	shape := append([]int64{rows}, c.spec.Shape[1:]...)
	n, err := tensor.Count(shape)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if len(c.text) == 0 {
		c.text = []byte{','}
	}
	c.text[0] = '[' // in place of the first comma
	t, err := scan.New(append(c.text, ']')).Tensor(c.spec.DType, n)
	t.Shape = shape
	return t, err
}
