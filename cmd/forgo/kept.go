package main

// Columns that are copied beside the answers, such as a key or the right answer. The model need not take them.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// split returns a row of JSON without the kept columns that the model does not take, and their values.
func (a *asker) split(row []byte) (rest []byte, kept [][]byte, err error) {
	if len(a.keep) == 0 {
		return row, nil, nil
	}
	r := payload.New(row)
	if r.Peek() != '{' {
		return nil, nil, fmt.Errorf("the row has no column %q: it must be an object", a.keep[0])
	}
	rest, kept = []byte{'{'}, make([][]byte, len(a.keep))
	err = r.Object(func(name string) error {
		value, err := r.Raw()
		if i := slices.Index(a.keep, name); i >= 0 {
			kept[i] = value
			if !a.takesColumn(name) {
				return err
			}
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(append(tensor.AppendText(rest, name), ':'), value...)
		return err
	})
	if err == nil {
		err = r.End()
	}
	return append(rest, '}'), kept, err
}

// takesColumn reports whether the model takes a column, as an input or a part of one.
func (a *asker) takesColumn(name string) bool {
	whole, _, _ := strings.Cut(name, "[")
	return a.takes.Picture && name == payload.Picture ||
		slices.ContainsFunc(a.takes.Specs, func(s tensor.Spec) bool { return s.Name == name || s.Name == whole })
}

// keptColumns returns where a CSV's header has the columns to keep.
func (a *asker) keptColumns(header []string, isHeader bool) (at []int, err error) {
	for _, name := range a.keep {
		i := slices.IndexFunc(header, func(cell string) bool { return cell == name || strings.TrimSpace(cell) == name })
		switch {
		case !isHeader:
			return nil, fmt.Errorf("the file has no header, and so no column %q", name)
		case i < 0:
			return nil, fmt.Errorf("the file has no column %q; it has %s", name, someOf(header))
		}
		at = append(at, i)
	}
	return at, nil
}

// splitRecord returns a CSV's record without the kept columns that the model does not take, and their values.
func (a *asker) splitRecord(record []string, columns []int) (kept [][]byte, rest []string) {
	if len(columns) == 0 {
		return nil, record
	}
	for _, i := range columns {
		if i < len(record) {
			kept = append(kept, tensor.AppendText(nil, record[i]))
		} else {
			kept = append(kept, nil)
		}
	}
	for i, cell := range record {
		if k := slices.Index(columns, i); k < 0 || a.takesColumn(a.keep[k]) {
			rest = append(rest, cell)
		}
	}
	return kept, rest
}

// noColumns fails for an array if columns are to be kept.
func (a *asker) noColumns() error {
	if len(a.keep) > 0 {
		return errors.New("an array has no columns to keep: give CSV, JSON lines or Parquet")
	}
	return nil
}

// appendKept appends the kept values of a row as a JSON object.
func appendKept(dst []byte, keep []string, kept [][]byte) []byte {
	dst = append(dst, '{')
	for i, name := range keep {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(tensor.AppendText(dst, name), ':')
		if i < len(kept) && kept[i] != nil {
			dst = append(dst, kept[i]...)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}

// someOf names columns, but only the first of many.
func someOf(names []string) string {
	const most = 20
	var some []string
	for _, n := range names[:min(most, len(names))] {
		some = append(some, fmt.Sprintf("%q", n))
	}
	text := strings.Join(some, " ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}
