package payload

// Tables in CSV.

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Header says whether the first line of a CSV names its columns.
type Header string

// The default is to let [IsHeader] decide.
const (
	HeaderPresent Header = "present"
	HeaderAbsent  Header = "absent"
)

var value = regexp.MustCompile(`^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity|null|(?i:true|false))$`)

// IsHeader reports whether a line of a CSV names columns: no cell is a number, a boolean, null or NaN. If
// the model has an input of such a name, the first line always counts as the header.
func IsHeader(line []string, specs []tensor.Spec) bool {
	return valueNamed(specs) || !slices.ContainsFunc(line, isValue)
}

func isValue[T ~string | ~[]byte](cell T) bool { return value.Match(bytes.TrimSpace([]byte(cell))) }

func valueNamed(specs []tensor.Spec) bool {
	return slices.ContainsFunc(specs, func(s tensor.Spec) bool { return isValue(s.Name) })
}

// Table reads a CSV into one batch of each input. A column has the name of its input or, if the input's
// row has several elements, NAME[0], NAME[1] and so on. Columns may be in any order. Without a header,
// they are the elements of the inputs in order. A cell is read like a JSON value, except that strings have
// no quotes, and that an empty cell of a table's column is a missing number.
//
//forgo:reader CSV
func (l Limits) Table(text []byte, in Inputs, header Header) (tensor.Map, error) {
	specs := in.Specs
	c := cells{data: bytes.TrimPrefix(text, []byte("\ufeff")), line: 1} // the mark with which spreadsheets begin
	r := l.New(nil)
	columns, known, err := columnsOf(r, in)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if header == "" {
		header = c.header(specs)
	}
	var order []place
	if header == HeaderAbsent {
		order = inOrder(columns)
	} else if order, err = named(&c, columns, known); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	rows, n := int64(0), 0
	for ; c.next(); rows++ {
		line := c.line
		if n += len(order); n > r.limits.Elements {
			return nil, fmt.Errorf("row %d: more than %d elements", rows, r.limits.Elements)
		}
		for _, col := range columns {
			if err := col.row(r); err != nil {
				return nil, err
			}
		}
		for i, place := range order {
			cell, last, err := c.cell()
			if err != nil {
				return nil, err
			}
			if last != (i == len(order)-1) {
				return nil, fmt.Errorf("line %d: the number of cells is not %s %d", line, whose(header), len(order))
			}
			if err := place.column.set(r, place.element, cell); err != nil {
				return nil, fmt.Errorf("line %d, column %q: %w", line, place.column.name(place.element), err)
			}
		}
	}
	out := make(tensor.Map, len(specs))
	for i, s := range specs {
		out[s.Name] = columns[i].tensor(rows)
	}
	return out, nil
}

// column collects the elements of one input.
type column interface {
	size() int // elements in a row
	name(element int) string
	row(r *Reader) error // begins the next row
	set(r *Reader, element int, cell []byte) error
	tensor(rows int64) tensor.Tensor
}

type place struct {
	column  column
	element int
}

// maxColumns bounds a table's columns, whose names take memory.
const maxColumns = 1 << 18

// whose says what determines the number of cells in a line.
func whose(h Header) string {
	if h == HeaderAbsent {
		return "the model's"
	}
	return "the header's"
}

// header decides on the first line as [IsHeader] does.
func (c *cells) header(specs []tensor.Spec) Header {
	if valueNamed(specs) {
		return HeaderPresent
	}
	ahead := cells{data: c.data, line: c.line}
	for last := !ahead.next(); !last; {
		var cell []byte
		var err error
		if cell, last, err = ahead.cell(); err == nil && isValue(cell) {
			return HeaderAbsent
		}
		last = last || err != nil
	}
	return HeaderPresent
}

// inOrder returns the places of the cells in a line without a header.
func inOrder(columns []column) (order []place) {
	for _, col := range columns {
		for i := range col.size() {
			order = append(order, place{col, i})
		}
	}
	return order
}

// Tabular reports whether a table can hold the inputs: each must have a fixed number of columns, and a
// type that CSV can express.
func Tabular(specs []tensor.Spec) bool {
	total := int64(0)
	for _, spec := range specs {
		n, err := tabular(spec, maxColumns-total)
		if err != nil {
			return false
		}
		total += n
	}
	return true
}

// tabular returns the number of columns of an input. It fails above most.
func tabular(spec tensor.Spec, most int64) (int64, error) {
	n, err := tensor.Count(spec.Shape[min(1, len(spec.Shape)):])
	if err != nil || spec.DType == tensor.Float16 || spec.DType == tensor.BFloat16 || n > most {
		return 0, fmt.Errorf("input %q is %s%v, which CSV cannot hold", spec.Name, spec.DType, spec.Shape)
	}
	return n, nil
}

// columnsOf returns a column for each input, and the place for each name.
func columnsOf(r *Reader, in Inputs) ([]column, map[string]place, error) {
	var columns []column
	known := map[string]place{}
	for _, spec := range in.Specs {
		n, err := tabular(spec, maxColumns-int64(len(known)))
		if err != nil {
			return nil, nil, err
		}
		if err := r.grow(int(n) * (len(spec.Name) + 128)); err != nil {
			return nil, nil, err
		}
		col := columnOf(spec, int(n), in.Table)
		columns = append(columns, col)
		for i := range int(n) {
			known[col.name(i)] = place{col, i}
		}
	}
	return columns, known, nil
}

// named reads the header and returns the place of each cell in a line.
func named(c *cells, columns []column, known map[string]place) ([]place, error) {
	if !c.next() {
		return nil, errors.New("it is missing")
	}
	var order []place
	seen := make(map[string]bool, len(known))
	for last := false; !last; {
		var cell []byte
		var err error
		if cell, last, err = c.cell(); err != nil {
			return nil, err
		}
		at, ok := known[string(cell)]
		if !ok {
			at, ok = known[string(bytes.TrimSpace(cell))]
		}
		if !ok {
			return nil, fmt.Errorf("the model has no column %s; it takes %s", tensor.Quote(bytes.TrimSpace(cell)), listed(columns, len(known)))
		}
		name := at.column.name(at.element)
		if seen[name] {
			return nil, fmt.Errorf("column %q occurs twice", name)
		}
		seen[name] = true
		order = append(order, at)
	}
	for _, col := range columns {
		for i := range col.size() {
			if name := col.name(i); !seen[name] {
				return nil, fmt.Errorf("column %q is missing", name)
			}
		}
	}
	return order, nil
}

// listed names columns, but only the first of many.
func listed(columns []column, n int) string {
	const most = 20
	var names []string
	for _, col := range columns {
		for i := 0; i < col.size() && len(names) < most; i++ {
			names = append(names, fmt.Sprintf("%q", col.name(i)))
		}
	}
	text := strings.Join(names, " ")
	if n > len(names) {
		text += fmt.Sprintf(" and %d more", n-len(names))
	}
	return text
}

func columnOf(spec tensor.Spec, n int, missing bool) column {
	switch spec.DType {
	case tensor.Float32:
		return &typed[float32]{spec: spec, n: n, missing: missing, element: float32s}
	case tensor.Float64:
		return &typed[float64]{spec: spec, n: n, missing: missing, element: float64s}
	case tensor.Int8:
		return &typed[int8]{spec: spec, n: n, element: numeral(signed[int8])}
	case tensor.Int16:
		return &typed[int16]{spec: spec, n: n, element: numeral(signed[int16])}
	case tensor.Int32:
		return &typed[int32]{spec: spec, n: n, element: numeral(signed[int32])}
	case tensor.Int64:
		return &typed[int64]{spec: spec, n: n, element: numeral(signed[int64])}
	case tensor.Uint8:
		return &typed[uint8]{spec: spec, n: n, element: numeral(unsigned[uint8])}
	case tensor.Uint16:
		return &typed[uint16]{spec: spec, n: n, element: numeral(unsigned[uint16])}
	case tensor.Uint32:
		return &typed[uint32]{spec: spec, n: n, element: numeral(unsigned[uint32])}
	case tensor.Uint64:
		return &typed[uint64]{spec: spec, n: n, element: numeral(unsigned[uint64])}
	case tensor.Bool:
		return &typed[bool]{spec: spec, n: n, element: (*Reader).Bool}
	}
	return &typed[string]{spec: spec, n: n, element: (*Reader).cellText}
}

// cellText returns a cell as it is.
func (r *Reader) cellText() (string, error) {
	if !utf8.Valid(r.data) {
		return "", fmt.Errorf("%s is not UTF-8", tensor.Quote(r.data))
	}
	r.at = len(r.data)
	return string(r.data), r.grow(len(r.data))
}

// typed is a column of one type.
type typed[T tensor.Element] struct {
	spec    tensor.Spec
	n       int  // elements in a row
	missing bool // an empty cell is NaN
	element func(*Reader) (T, error)
	data    []T
}

func (c *typed[T]) size() int { return c.n }

func (c *typed[T]) name(element int) string {
	if c.n == 1 {
		return c.spec.Name
	}
	return fmt.Sprintf("%s[%d]", c.spec.Name, element)
}

func (c *typed[T]) row(r *Reader) error {
	if len(c.data)+c.n > cap(c.data) {
		l := lists[T]{Reader: r, data: c.data}
		if err := l.more(max(16, 2*cap(c.data), len(c.data)+c.n)); err != nil {
			return err
		}
		c.data = l.data
	}
	c.data = c.data[:len(c.data)+c.n]
	return nil
}

func (c *typed[T]) set(r *Reader, element int, cell []byte) error {
	text := cell
	if c.spec.DType != tensor.String {
		text = bytes.TrimSpace(cell)
		switch {
		case len(text) > 0:
		case c.missing:
			text = []byte("NaN")
		default:
			return errors.New("the cell is empty")
		}
		if c.spec.DType == tensor.Bool {
			text = bytes.ToLower(text[:min(len(text), len("false")+1)])
		}
	}
	r.data, r.at = text, 0
	x, err := c.element(r)
	switch {
	case err != nil && (r.refused != nil || c.spec.DType == tensor.String):
		return err
	case err != nil || r.at != len(text):
		return fmt.Errorf("%s is not %s", tensor.Quote(cell), c.spec.DType)
	}
	c.data[len(c.data)-c.n+element] = x
	return nil
}

func (c *typed[T]) tensor(rows int64) tensor.Tensor {
	shape := append([]int64{rows}, c.spec.Shape[min(1, len(c.spec.Shape)):]...)
	if c.data == nil {
		c.data = []T{}
	}
	return tensor.Tensor{Shape: shape, Data: c.data}
}

// cells splits a CSV text into cells as encoding/csv does, but one at a time and without memory for a
// line, which may have as many cells as the text has commas.
type cells struct {
	data []byte
	line int
	buf  []byte // a cell with quotes in it
}

// next reports whether there is another line, and skips empty ones.
func (c *cells) next() bool {
	for len(c.data) > 0 {
		switch {
		case c.data[0] == '\n':
			c.data = c.data[1:]
		case bytes.HasPrefix(c.data, []byte("\r\n")):
			c.data = c.data[2:]
		case string(c.data) == "\r":
			c.data = nil
		default:
			return true
		}
		c.line++
	}
	return false
}

// cell returns the next cell of the line, and whether it is the last. Later calls reuse its memory.
func (c *cells) cell() (cell []byte, last bool, err error) {
	if len(c.data) == 0 || c.data[0] != '"' {
		i := bytes.IndexAny(c.data, ",\n\"")
		if i >= 0 && c.data[i] == '"' {
			return nil, false, fmt.Errorf("line %d: a quote inside a cell that does not begin with one", c.line)
		}
		if i < 0 {
			cell, c.data = bytes.TrimSuffix(c.data, []byte{'\r'}), nil
			return cell, true, nil
		}
		cell = c.data[:i]
		last = c.data[i] == '\n'
		c.data = c.data[i+1:]
		if last {
			c.line++
			cell = bytes.TrimSuffix(cell, []byte{'\r'})
		}
		return cell, last, nil
	}
	c.buf = c.buf[:0]
	for c.data = c.data[1:]; ; {
		i := bytes.IndexByte(c.data, '"')
		if i < 0 {
			return nil, false, fmt.Errorf("line %d: a quote is not closed", c.line)
		}
		c.line += bytes.Count(c.data[:i], []byte{'\n'})
		c.buf = append(c.buf, bytes.ReplaceAll(c.data[:i], []byte("\r\n"), []byte{'\n'})...)
		c.data = c.data[i+1:]
		switch {
		case len(c.data) == 0:
			return c.buf, true, nil
		case c.data[0] == '"':
			c.buf = append(c.buf, '"')
			c.data = c.data[1:]
		case c.data[0] == ',':
			c.data = c.data[1:]
			return c.buf, false, nil
		case c.data[0] == '\n' || bytes.HasPrefix(c.data, []byte("\r\n")):
			c.data = c.data[bytes.IndexByte(c.data, '\n')+1:]
			c.line++
			return c.buf, true, nil
		case string(c.data) == "\r":
			c.data = nil
			return c.buf, true, nil
		default:
			return nil, false, fmt.Errorf("line %d: text follows a closed quote", c.line)
		}
	}
}
