package main

// Rows in arrays (.npy, .npz) and tables (.csv), each sent as a batch of one.

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const maxColumns = 1 << 18

// array asks each row of a NumPy array, whose first dimension is the rows.
func (a *asker) array(path string, in io.Reader, length int64) error {
	if a.takes.Picture {
		return errors.New("an array cannot hold pictures, which this model needs: give JSON rows in a .jsonl file")
	}
	if err := a.noColumns(); err != nil {
		return err
	}
	rows, err := payload.Limits{}.NPY(in, length, a.takes.Specs)
	if err != nil {
		return err
	}
	return a.arrays(path, rows)
}

// archive asks each row of the arrays in an .npz file.
func (a *asker) archive(path string, in io.ReaderAt, length int64) error {
	if a.takes.Picture {
		return errors.New("arrays cannot hold pictures, which this model needs: give JSON rows in a .jsonl file")
	}
	if err := a.noColumns(); err != nil {
		return err
	}
	rows, err := payload.Limits{}.NPZ(in, length, a.takes.Specs)
	if err != nil {
		return err
	}
	return a.arrays(path, rows)
}

func (a *asker) arrays(path string, rows *payload.Rows) error {
	if rows.RowBytes() > maxLine {
		return fmt.Errorf("a row is longer than %d bytes", maxLine)
	}
	if rows.Len() == 0 {
		return errNoRows
	}
	for row := 1; !a.ended; row++ {
		values, err := rows.Next(1)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		a.send(question{file: path, row: row, read: func() (content, error) { return content{inputs: values}, nil }})
	}
	return nil
}

var errNoRows = errors.New("the file has no rows")

// table asks each row of a CSV, with a header or without, as [payload.IsHeader] tells.
func (a *asker) table(path string, in *bufio.Reader) error {
	if a.takes.Picture {
		return errors.New("a CSV cannot hold pictures, which this model needs: give JSON rows in a .jsonl file")
	}
	names, err := columns(a.takes.Specs)
	if err != nil {
		return err
	}
	if mark, err := in.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = in.Discard(3)
	}
	records := csv.NewReader(&bounded{in: in})
	records.FieldsPerRecord = -1 // Table has the better error
	records.ReuseRecord = true
	header, begun, found := "", false, false
	var kept []int
	for row := 1; !a.ended; row++ {
		record, err := records.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !begun {
			begun = true
			isHeader := payload.IsHeader(record, a.takes.Specs)
			if kept, err = a.keptColumns(record, isHeader); err != nil {
				return err
			}
			if isHeader {
				_, record = a.splitRecord(record, kept)
				if header, err = csvLine(record); err == nil {
					_, err = payload.Limits{}.Table([]byte(header), a.takes, payload.HeaderPresent)
				}
				if err != nil && slices.Contains(record, "") {
					err = fmt.Errorf("%w; pandas writes its index as a column without a name: leave it out with to_csv(index=False)", err)
				}
				if err != nil {
					return err
				}
				row = 0
				continue
			}
			if header, err = csvLine(names); err != nil {
				return err
			}
		}
		values, record := a.splitRecord(record, kept)
		line, err := csvLine(record)
		if err != nil {
			return err
		}
		header := header
		found = true
		a.send(question{file: path, row: row, read: func() (content, error) {
			inputs, err := a.record(header, line)
			return content{inputs: inputs, kept: values}, err
		}})
	}
	if !found && !a.ended {
		return errNoRows
	}
	return nil
}

// record reads one line of a table as the server reads a table.
func (a *asker) record(header, line string) (tensor.Map, error) {
	values, err := payload.Limits{}.Table([]byte(header+line), a.takes, payload.HeaderPresent)
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "line 2, ")
		return nil, errors.New(strings.TrimPrefix(text, "line 2: "))
	}
	for _, spec := range a.takes.Specs {
		if spec.Shape != nil && len(spec.Shape) == 0 { // a scalar has no batch dimension
			values[spec.Name] = tensor.Tensor{Shape: []int64{}, Data: values[spec.Name].Data}
		}
	}
	return values, nil
}

// columns are the names of a table's columns.
func columns(specs []tensor.Spec) (names []string, err error) {
	for _, s := range specs {
		n, err := tensor.Count(s.Shape[min(1, len(s.Shape)):])
		switch {
		case err != nil || s.Shape == nil || n > maxColumns-int64(len(names)):
			return nil, fmt.Errorf("input %q is %s%v, which CSV cannot hold: give JSON rows in a .jsonl file", s.Name, s.DType, s.Shape)
		case n == 1:
			names = append(names, s.Name)
			continue
		}
		for i := range n {
			names = append(names, fmt.Sprintf("%s[%d]", s.Name, i))
		}
	}
	return names, nil
}

func csvLine(record []string) (string, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write(record); err != nil {
		return "", err
	}
	w.Flush()
	return b.String(), w.Error()
}

// bounded fails where a line goes on for longer than a row may be.
type bounded struct {
	in   io.Reader
	long int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if i := bytes.LastIndexByte(p[:n], '\n'); i >= 0 {
		b.long = n - i
	} else if b.long += n; b.long > maxLine {
		return 0, fmt.Errorf("a line is longer than %d bytes", maxLine)
	}
	return n, err
}
