package payload

// Arrays as NumPy saves them: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// NPYMagic is the start of a .npy file.
const NPYMagic = "\x93NUMPY"

const (
	longestHeader = 1 << 16
	// maxArray bounds an array that is held whole when the length of its file is unknown.
	maxArray = 1 << 30
	// mostEmpty bounds elements and rows that take no bytes of the file.
	mostEmpty = 1 << 16
)

var (
	npyHeader = regexp.MustCompile(`^\{(?:\s*'\w+'\s*:\s*(?:'[^']*'|True|False|\([0-9, ]*\))\s*,?)*\s*\}\s*$`)
	npyEntry  = regexp.MustCompile(`'(\w+)'\s*:\s*('[^']*'|True|False|\([0-9, ]*\))`)
	npyDescr  = regexp.MustCompile(`^'([<>|=]?)([a-zA-Z])(\d+)'$`)
)

// npyTypes maps NumPy's kinds and sizes to element types.
var npyTypes = map[string]tensor.DType{
	"b1": tensor.Bool, "i1": tensor.Int8, "i2": tensor.Int16, "i4": tensor.Int32, "i8": tensor.Int64,
	"u1": tensor.Uint8, "u2": tensor.Uint16, "u4": tensor.Uint32, "u8": tensor.Uint64,
	"f2": tensor.Float16, "f4": tensor.Float32, "f8": tensor.Float64,
}

// array is a .npy file that is read a few rows at a time.
type array struct {
	spec  tensor.Spec // of the input that it gives
	in    io.Reader
	dtype tensor.DType
	utf32 bool
	big   bool    // the most significant byte comes first
	item  int64   // bytes of an element
	shape []int64 // the first size is the rows
	row   int64   // bytes of a row
}

// openArray reads the header of a .npy file. length bounds its data in bytes, or is -1 if unknown.
func (l Limits) openArray(in io.Reader, length int64, spec tensor.Spec) (*array, error) {
	a := &array{spec: spec, in: in}
	fortran, err := a.header()
	if err != nil {
		return nil, err
	}
	if len(a.shape) == 0 {
		return nil, errors.New("the array is a single number: its first dimension must be the rows")
	}
	elements, err := tensor.Count(a.shape)
	if err != nil {
		return nil, err
	}
	if l.Elements > 0 && elements > int64(l.Elements) {
		return nil, fmt.Errorf("the array has %d elements (limit %d)", elements, l.Elements)
	}
	inRow, err := tensor.Count(a.shape[1:])
	if err != nil || inRow > 0 && a.item > maxArray/inRow {
		return nil, fmt.Errorf("a row of shape %v is longer than %d bytes", a.shape[1:], maxArray)
	}
	if a.row = inRow * a.item; a.row == 0 && max(elements, a.shape[0]) > mostEmpty {
		return nil, fmt.Errorf("the array has %d rows of no bytes (limit %d)", a.shape[0], mostEmpty)
	}
	if length >= 0 && a.row > 0 && a.shape[0] > length/a.row {
		return nil, fmt.Errorf("row %d: the array ends too soon", length/a.row+1)
	}
	if fortran && len(a.shape) > 1 {
		return a, a.reorder(l)
	}
	return a, nil
}

func (a *array) header() (fortran bool, err error) {
	bad := errors.New("not a complete .npy file")
	head := make([]byte, 8)
	if _, err := io.ReadFull(a.in, head); err != nil || string(head[:6]) != NPYMagic {
		return false, bad
	}
	length := make([]byte, 2)
	if head[6] > 1 {
		length = make([]byte, 4)
	}
	if _, err := io.ReadFull(a.in, length); err != nil {
		return false, bad
	}
	n := uint32(binary.LittleEndian.Uint16(length))
	if len(length) == 4 {
		n = binary.LittleEndian.Uint32(length)
	}
	text := make([]byte, min(n, longestHeader))
	if _, err := io.ReadFull(a.in, text); err != nil || n > longestHeader {
		return false, bad
	}
	if bytes.Contains(text, []byte("'|O'")) {
		return false, errors.New("the array holds Python objects, which are never loaded: save numbers or strings, such as x.astype(numpy.float32)")
	}
	entries := map[string]string{}
	found := npyEntry.FindAllSubmatch(text, 4)
	for _, e := range found {
		entries[string(e[1])] = string(e[2])
	}
	descr := npyDescr.FindStringSubmatch(entries["descr"])
	if !npyHeader.Match(text) || len(entries) != 3 || len(found) != 3 || descr == nil {
		return false, errors.New("the array has fields, or a header that NumPy does not write: save an array of one plain type")
	}
	if fortran = entries["fortran_order"] == "True"; !fortran && entries["fortran_order"] != "False" {
		return false, bad
	}
	for size := range strings.SplitSeq(strings.Trim(entries["shape"], "()"), ",") {
		if size = strings.TrimSpace(size); size == "" {
			continue
		}
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || len(a.shape) == 32 { // NumPy's own limit
			return false, bad
		}
		a.shape = append(a.shape, n)
	}
	if !strings.HasPrefix(entries["shape"], "(") {
		return false, bad
	}
	return fortran, a.typed(descr[1], descr[2], descr[3])
}

// typed parses the element type: byte order, kind and size.
func (a *array) typed(order, kind, size string) error {
	a.big = order == ">"
	if dtype, ok := npyTypes[kind+size]; ok {
		a.dtype, a.item = dtype, int64(dtype.ElementSize())
		return nil
	}
	n, err := strconv.ParseInt(size, 10, 32)
	switch {
	case err != nil || kind != "U" && kind != "S":
		return fmt.Errorf("NumPy type %s is not supported", tensor.Quote(order+kind+size))
	case kind == "U":
		a.utf32, n = true, 4*n
	}
	a.dtype, a.item = tensor.String, n
	return nil
}

// reorder reads a whole array in column-major order and puts it into row-major order.
func (a *array) reorder(l Limits) error {
	rows := a.shape[0]
	if a.row > 0 && rows > maxArray/a.row {
		return fmt.Errorf("the array is in Fortran order and longer than %d bytes: save numpy.ascontiguousarray(x)", maxArray)
	}
	if err := l.grow(2 * rows * a.row); err != nil {
		return err
	}
	from, err := io.ReadAll(io.LimitReader(a.in, rows*a.row)) // grows as it comes: a header costs nothing
	if err != nil {
		return err
	}
	if int64(len(from)) < rows*a.row {
		return errors.New("the array ends too soon")
	}
	to := make([]byte, len(from))
	at := make([]int64, len(a.shape)) // of the next element of from
	for item := range slices.Chunk(from, max(1, int(a.item))) {
		index := int64(0)
		for d, size := range a.shape {
			index = index*size + at[d]
		}
		copy(to[index*a.item:], item)
		for d := range at {
			if at[d]++; at[d] < a.shape[d] {
				break
			}
			at[d] = 0
		}
	}
	a.in = io.MultiReader(bytes.NewReader(to), a.in)
	return l.grow(-rows * a.row)
}

// read returns the next n rows as the file has them. They must exist.
func (a *array) read(l Limits, from, n int64) (tensor.Tensor, error) {
	if err := l.grow(n * a.row); err != nil {
		return tensor.Tensor{}, err
	}
	raw := make([]byte, n*a.row)
	if got, err := io.ReadFull(a.in, raw); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return tensor.Tensor{}, fmt.Errorf("row %d: the array ends too soon", from+int64(got)/max(1, a.row)+1)
		}
		return tensor.Tensor{}, err
	}
	shape := slices.Clone(a.shape)
	shape[0] = n
	if a.dtype == tensor.String {
		return a.strings(l, raw, shape)
	}
	if a.big {
		for item := range slices.Chunk(raw, int(a.item)) {
			slices.Reverse(item)
		}
	}
	return tensor.FromBytes(a.dtype, raw, shape...)
}

// textHead is the memory of a string apart from its bytes.
const textHead = 16

// strings reads strings of fixed length, in UTF-32 or bytes, padded with zeros.
func (a *array) strings(l Limits, raw []byte, shape []int64) (tensor.Tensor, error) {
	n, err := tensor.Count(shape)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if err := l.grow(n*textHead + int64(len(raw))); err != nil {
		return tensor.Tensor{}, err
	}
	values := make([]string, n)
	for i := range values {
		item := raw[int64(i)*a.item:][:a.item]
		text, ok := string(bytes.TrimRight(item, "\x00")), true
		if a.utf32 {
			text, ok = a.decode(item)
		}
		if !ok || !utf8.ValidString(text) {
			return tensor.Tensor{}, fmt.Errorf("element %d is not UTF-8 or not Unicode", i)
		}
		values[i] = text
	}
	return tensor.Tensor{Shape: shape, Data: values}, l.grow(-int64(len(raw)))
}

func (a *array) decode(item []byte) (string, bool) {
	var b strings.Builder
	for char := range slices.Chunk(item, 4) {
		n := binary.LittleEndian.Uint32(char)
		if a.big {
			n = binary.BigEndian.Uint32(char)
		}
		if n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		b.WriteRune(rune(n))
	}
	return strings.TrimRight(b.String(), "\x00"), true
}

// convert converts an array's elements to the input's type, by the rules for numbers in JSON.
func (a *array) convert(l Limits, t tensor.Tensor) (tensor.Tensor, error) {
	if t.DType() == a.spec.DType || a.spec.DType == "" {
		return t, a.spec.Match(t)
	}
	wrong := (t.DType() == tensor.String) != (a.spec.DType == tensor.String) || (t.DType() == tensor.Bool) != (a.spec.DType == tensor.Bool)
	if wrong || a.spec.Shape != nil && len(a.spec.Shape) != len(t.Shape) {
		return t, a.spec.Unfit(t)
	}
	if wide, err := t.Floats(); err == nil { // a float32's own digits are another float64
		switch t.DType() {
		case tensor.Float16, tensor.Float32:
			t = tensor.Tensor{Shape: t.Shape, Data: wide}
		}
	}
	rows := t.Rows()
	step := max(1, convertedAtOnce/max(1, t.Len()/max(1, rows)))
	var parts []tensor.Tensor
	for from := 0; from < rows || from == 0; from += step {
		part := t.Slice(from, min(from+step, rows))
		reader := l.New(tensor.AppendNested(nil, part, tensor.Bare))
		got, err := reader.Input(tensor.Spec{Name: a.spec.Name, DType: a.spec.DType}, true)
		if err != nil {
			return t, err
		}
		got.Shape = part.Shape // lists of no rows do not show all sizes
		parts = append(parts, got)
	}
	if len(parts) > 1 {
		if err := l.grow(int64(t.Len() * a.spec.ElementSize())); err != nil {
			return t, err
		}
	}
	made, err := tensor.Concat(parts...)
	if err != nil {
		return t, err
	}
	return made, a.spec.Match(made)
}

// convertedAtOnce is the number of elements that are written as text at once.
const convertedAtOnce = 1 << 12

func (l Limits) grow(bytes int64) error {
	if l.Memory == nil {
		return nil
	}
	return l.Memory.Grow(bytes)
}
