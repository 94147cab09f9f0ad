package main

// Rows in arrays (.npy) and tables (.csv), each asked as the JSON row that it stands for.

import (
	"bufio"
	"bytes"
	byteorder "encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const (
	npyMagic   = "\x93NUMPY"
	maxColumns = 1 << 18
)

// npyHeader finds what NumPy writes of an array: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
var npyHeader = regexp.MustCompile(`^\{'descr': '([<>|=][a-zA-Z]\d+)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \}\s*$`)

// npyTypes are the element types, by NumPy's kind and size.
var npyTypes = map[string]tensor.DType{
	"b1": tensor.Bool, "i1": tensor.Int8, "i2": tensor.Int16, "i4": tensor.Int32, "i8": tensor.Int64,
	"u1": tensor.Uint8, "u2": tensor.Uint16, "u4": tensor.Uint32, "u8": tensor.Uint64,
	"f2": tensor.Float16, "f4": tensor.Float32, "f8": tensor.Float64,
}

// array asks each row of a NumPy array, whose first dimension is the rows.
func (a *asker) array(path string, in *bufio.Reader) error {
	if a.takes.Picture || len(a.takes.Specs) != 1 {
		return errors.New("an array gives the rows of one input, not those of this model: give JSON rows in a .jsonl file")
	}
	descr, shape, err := readNPYHeader(in)
	if err != nil {
		return err
	}
	if len(shape) == 0 {
		return errors.New("the array is one number: its first dimension is the rows")
	}
	elements, err := tensor.Count(shape[1:])
	if err != nil {
		return err
	}
	size := int64(0)
	dtype, known := npyTypes[descr[1:]]
	switch {
	case known:
		size = int64(dtype.ElementSize())
	case descr[1] == 'U' || descr[1] == 'S':
		if size, err = strconv.ParseInt(descr[2:], 10, 64); err == nil && descr[1] == 'U' {
			size *= 4
		}
		dtype = tensor.String
	default:
		return fmt.Errorf("an array of NumPy's type %s is not taken", descr)
	}
	if err != nil || size < 0 || elements > 0 && size > maxLine/elements {
		return fmt.Errorf("a row of shape %v is longer than %d bytes", shape[1:], maxLine)
	}
	raw := make([]byte, size*elements)
	for row := 1; int64(row) <= shape[0] && !a.ended; row++ {
		if _, err := io.ReadFull(in, raw); err != nil {
			return fmt.Errorf("row %d: the array ends too soon", row)
		}
		t, err := npyRow(dtype, descr, raw, shape[1:], int(size))
		if err != nil {
			return fmt.Errorf("row %d: %w", row, err)
		}
		text := tensor.AppendNested(nil, t, tensor.Bare)
		a.send(question{file: path, row: row, read: func() ([]byte, error) { return text, nil }})
	}
	if shape[0] == 0 {
		return errors.New("there are no rows in it")
	}
	return nil
}

func readNPYHeader(in *bufio.Reader) (descr string, shape []int64, err error) {
	bad := errors.New("it is no complete .npy file")
	head := make([]byte, 8)
	if _, err := io.ReadFull(in, head); err != nil || string(head[:6]) != npyMagic {
		return "", nil, bad
	}
	length := make([]byte, 2)
	if head[6] > 1 {
		length = make([]byte, 4)
	}
	if _, err := io.ReadFull(in, length); err != nil {
		return "", nil, bad
	}
	n := uint32(byteorder.LittleEndian.Uint16(length))
	if len(length) == 4 {
		n = byteorder.LittleEndian.Uint32(length)
	}
	const longest = 1 << 16
	text := make([]byte, min(n, longest))
	if _, err := io.ReadFull(in, text); err != nil || n > longest {
		return "", nil, bad
	}
	found := npyHeader.FindSubmatch(text)
	switch {
	case found == nil:
		return "", nil, errors.New("arrays of one plain type are taken; this one holds objects or fields")
	case string(found[2]) == "True":
		return "", nil, errors.New("the array is in Fortran's order: save numpy.ascontiguousarray(x)")
	}
	for size := range strings.SplitSeq(string(found[3]), ",") {
		if size = strings.TrimSpace(size); size == "" {
			continue
		}
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return "", nil, bad
		}
		shape = append(shape, n)
	}
	return string(found[1]), shape, nil
}

// npyRow is a row of an array. Its bytes are copied.
func npyRow(dtype tensor.DType, descr string, raw []byte, shape []int64, size int) (tensor.Tensor, error) {
	if dtype == tensor.String {
		var texts []string
		for item := range slices.Chunk(raw, max(size, 1)) {
			texts = append(texts, npyText(descr, item))
		}
		return tensor.New(texts, shape...)
	}
	raw = bytes.Clone(raw)
	if descr[0] == '>' {
		for item := range slices.Chunk(raw, size) {
			slices.Reverse(item)
		}
	}
	return tensor.FromBytes(dtype, raw, shape...)
}

// npyText is a string of fixed room: UTF-32 or bytes, filled up with zeros.
func npyText(descr string, item []byte) string {
	if descr[1] == 'S' {
		return string(bytes.TrimRight(item, "\x00"))
	}
	var b strings.Builder
	for char := range slices.Chunk(item, 4) {
		if len(char) < 4 {
			break
		}
		n := byteorder.LittleEndian.Uint32(char)
		if descr[0] == '>' {
			n = byteorder.BigEndian.Uint32(char)
		}
		b.WriteRune(rune(n))
	}
	return strings.TrimRight(b.String(), "\x00")
}

// table asks each row of a CSV. With a header its columns are named as the server's; without, they are
// the elements of the inputs in their order.
func (a *asker) table(path string, in *bufio.Reader) error {
	if a.takes.Picture {
		return errors.New("a CSV has no pictures, which this model takes: give JSON rows in a .jsonl file")
	}
	names, err := columns(a.takes.Specs)
	if err != nil {
		return err
	}
	if mark, err := in.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = in.Discard(3)
	}
	records := csv.NewReader(&bounded{in: in})
	records.FieldsPerRecord = -1 // which Table says better
	records.ReuseRecord = true
	header, begun := "", false
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
			if slices.Contains(names, strings.TrimSpace(record[0])) {
				if header, err = csvLine(record); err != nil {
					return err
				}
				row = 0
				continue
			}
			if header, err = csvLine(names); err != nil {
				return err
			}
		}
		line, err := csvLine(record)
		if err != nil {
			return err
		}
		header := header
		a.send(question{file: path, row: row, read: func() ([]byte, error) { return a.record(header, line) }})
	}
	if header == "" && !a.ended {
		return errors.New("there are no rows in it")
	}
	return nil
}

// record reads one line of a table as the server reads a table, and writes it as a JSON row.
func (a *asker) record(header, line string) ([]byte, error) {
	values, err := payload.Limits{}.Table([]byte(header+line), a.takes.Specs)
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "line 2, ")
		return nil, errors.New(strings.TrimPrefix(text, "line 2: "))
	}
	row := []byte{'{'}
	for i, spec := range a.takes.Specs {
		if i > 0 {
			row = append(row, ',')
		}
		t := values[spec.Name]
		row = append(tensor.AppendText(row, spec.Name), ':')
		row = tensor.AppendNested(row, tensor.Tensor{Shape: t.Shape[1:], Data: t.Data}, tensor.Bare)
	}
	return append(row, '}'), nil
}

// columns are the names of a table's columns.
func columns(specs []tensor.Spec) (names []string, err error) {
	for _, s := range specs {
		n, err := tensor.Count(s.Shape[min(1, len(s.Shape)):])
		switch {
		case err != nil || s.Shape == nil || n > maxColumns-int64(len(names)):
			return nil, fmt.Errorf("input %q is %s%v, which a CSV cannot give: give JSON rows in a .jsonl file", s.Name, s.DType, s.Shape)
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
