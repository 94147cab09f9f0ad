package payload

// Lists of numbers, booleans and strings, read into typed slices.

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Tensor reads a value, or lists nested to any depth, as elements of dtype. The nesting gives the shape.
// elements is the expected number, or 0 if unknown.
func (r *Reader) Tensor(dtype tensor.DType, elements int64) (tensor.Tensor, error) {
	return r.tensor(dtype, r.capacity(elements), nil)
}

// Input reads the value of a model's input: a batch, or one row, which becomes a batch of one. A scalar
// input has no batch. Input keeps no element of lists that do not fit.
func (r *Reader) Input(spec tensor.Spec, batch bool) (tensor.Tensor, error) {
	shape := spec.Shape
	if shape != nil && !batch {
		shape = shape[min(1, len(shape)):]
	}
	var t tensor.Tensor
	var err error
	if spec.DType == tensor.String {
		t, err = elements(r, r.capacity(expected(shape)), shape, (*Reader).BytesOrText)
	} else {
		t, err = r.tensor(spec.DType, r.capacity(expected(shape)), shape)
	}
	unfit := errors.Is(err, errUnfit)
	if err != nil && !unfit {
		if batch && len(spec.Shape) == 1 {
			err = OfRow(err)
		}
		return tensor.Tensor{}, err
	}
	if scalar := spec.Shape != nil && len(spec.Shape) == 0; !batch && !scalar {
		t = t.Batch()
	}
	if unfit {
		return tensor.Tensor{}, spec.Unfit(t)
	}
	return t, spec.Match(t)
}

// BytesOrText reads a string, or binary data as {"b64": "…"}.
func (r *Reader) BytesOrText() (string, error) {
	switch r.Peek() {
	case '"':
		return r.Text()
	case '{':
		return r.Base64()
	}
	return "", r.not("a string")
}

// expected returns the number of elements of a shape, or 0 if a size is free.
func expected(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		if d < 0 {
			return 0
		}
		n *= max(1, min(d, 1<<20))
		n = min(n, 1<<40)
	}
	return n
}

// capacity returns the number of elements to allocate for at first. An element takes at least two bytes of the
// text, with its comma.
func (r *Reader) capacity(elements int64) int64 {
	capacity := min(max(elements, 0), int64(len(r.data)-r.at)/2+1, int64(r.limits.Elements))
	if capacity > 1024 {
		capacity = min(capacity, int64(bytes.Count(r.data[r.at:], comma))+1)
	}
	return capacity
}

var comma = []byte{','}

// tensor reads elements of dtype in lists nested as want says. nil means any nesting.
//
//forgo:reader JSON
func (r *Reader) tensor(dtype tensor.DType, capacity int64, want []int64) (tensor.Tensor, error) {
	switch dtype {
	case tensor.Float32:
		return elements(r, capacity, want, float32s)
	case tensor.Float64:
		return elements(r, capacity, want, float64s)
	case tensor.Float16:
		return elements(r, capacity, want, narrow(tensor.ToFloat16, tensor.Float16Bits.Float64, dtype))
	case tensor.BFloat16:
		return elements(r, capacity, want, narrow(tensor.ToBFloat16, tensor.BFloat16Bits.Float64, dtype))
	case tensor.Int8:
		return elements(r, capacity, want, numeral(signed[int8]))
	case tensor.Int16:
		return elements(r, capacity, want, numeral(signed[int16]))
	case tensor.Int32:
		return elements(r, capacity, want, numeral(signed[int32]))
	case tensor.Int64:
		return elements(r, capacity, want, numeral(signed[int64]))
	case tensor.Uint8:
		return elements(r, capacity, want, numeral(unsigned[uint8]))
	case tensor.Uint16:
		return elements(r, capacity, want, numeral(unsigned[uint16]))
	case tensor.Uint32:
		return elements(r, capacity, want, numeral(unsigned[uint32]))
	case tensor.Uint64:
		return elements(r, capacity, want, numeral(unsigned[uint64]))
	case tensor.Bool:
		return elements(r, capacity, want, func(r *Reader) (bool, error) {
			if c := r.Peek(); c != 't' && c != 'f' {
				return false, r.not("true or false")
			}
			return r.Bool()
		})
	case tensor.String:
		return elements(r, capacity, want, func(r *Reader) (string, error) {
			if r.Peek() != '"' {
				return "", r.not("a string")
			}
			return r.Text()
		})
	}
	return tensor.Tensor{}, fmt.Errorf("%s cannot be written as JSON; send it as binary data", dtype)
}

// not returns the error for a well-formed value of the wrong kind.
func (r *Reader) not(kind string) error {
	value, err := r.Raw()
	if err != nil {
		return err
	}
	return fmt.Errorf("%s is not %s", tensor.Cut(value), kind)
}

// errUnfit means that lists are nested differently than expected. Their shape is returned.
var errUnfit = errors.New("the lists are nested differently")

// errRagged is wrapped by errors about lists of unequal lengths.
var errRagged = errors.New("the lists are ragged")

// elementError is an error about one element of lists.
type elementError struct {
	path []int
	err  error
}

func (e *elementError) Error() string {
	return fmt.Sprintf("element %s: %s", indices(e.path), e.err)
}

func (e *elementError) Unwrap() error { return e.err }

// OfRow words an error about an element of a column, a list with one value for each row: it names the row.
func OfRow(err error) error {
	if e := (*elementError)(nil); errors.As(err, &e) && len(e.path) == 1 {
		return fmt.Errorf("row %d: %w", e.path[0], e.err)
	}
	return err
}

func indices(path []int) (text string) {
	for _, i := range path {
		text += fmt.Sprintf("[%d]", i)
	}
	return text
}

// ragged returns an error that says where lists stop forming a tensor.
func (l *lists[T]) ragged(depth int, what string, args ...any) error {
	return fmt.Errorf("%w: %s %s", errRagged, cmp.Or(indices(l.path[:depth]), "the whole"), fmt.Sprintf(what, args...))
}

// Elements reads a value, or lists nested to any depth. It reads each innermost value with element. capacity
// is the expected number.
func Elements[T tensor.Element](r *Reader, capacity int64, element func(*Reader) (T, error)) (tensor.Tensor, error) {
	return elements(r, r.capacity(capacity), nil, element)
}

func elements[T tensor.Element](r *Reader, capacity int64, want []int64, element func(*Reader) (T, error)) (tensor.Tensor, error) {
	l := lists[T]{Reader: r, element: element, shape: make([]int64, 0, max(2, len(want))), leaf: -1, want: want}
	if err := l.more(int(capacity)); err != nil {
		return tensor.Tensor{}, err
	}
	if err := l.value(0); err != nil {
		return tensor.Tensor{}, err
	}
	if l.unfit {
		return tensor.Tensor{Shape: l.shape, Data: []T{}}, errUnfit
	}
	return tensor.New(l.data, l.shape...)
}

// lists is the part of a tensor that has been read.
type lists[T tensor.Element] struct {
	*Reader
	element func(*Reader) (T, error)
	data    []T
	shape   []int64 // -1 until the first list of a depth has ended
	path    []int   // where in the lists the reader is
	leaf    int     // the depth of the elements, -1 until the first is met
	want    []int64 // nil is any
	unfit   bool    // it is nested otherwise: only its shape is wanted still
}

// overhead is the memory of a tensor apart from its elements.
const overhead = 128

// more reserves memory for more elements.
func (l *lists[T]) more(capacity int) error {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if err := l.grow(overhead + capacity*size); err != nil {
		return err
	}
	old := l.data
	l.data = append(make([]T, 0, capacity), old...)
	return l.grow(-cap(old) * size)
}

func (l *lists[T]) value(depth int) error {
	if l.Peek() != '[' {
		if l.leaf < 0 {
			l.leaf = depth
		}
		if depth != l.leaf {
			return l.ragged(depth, "is no list, as others there are")
		}
		if l.elements++; l.elements > l.limits.Elements {
			return fmt.Errorf("more than %d elements", l.limits.Elements)
		}
		if l.unfit = l.unfit || l.want != nil && depth != len(l.want); l.unfit {
			_, err := l.Raw()
			return err
		}
		if len(l.data) == cap(l.data) {
			if err := l.more(max(16, 2*cap(l.data))); err != nil {
				return err
			}
		}
		x, err := l.element(l.Reader)
		l.data = append(l.data, x)
		if err != nil && depth > 0 && l.refused == nil {
			err = &elementError{slices.Clone(l.path[:depth]), err}
		}
		return err
	}
	if l.leaf >= 0 && depth >= l.leaf {
		return l.ragged(depth, "is a list, others there are none")
	}
	if depth == len(l.shape) {
		l.shape, l.path = append(l.shape, -1), append(l.path, 0)
	}
	most := int64(math.MaxInt64)
	if depth < len(l.want) && l.want[depth] >= 0 {
		most = l.want[depth]
	}
	n, err := l.list(depth, most)
	if err != nil {
		return err
	}
	if n == 0 && l.leaf < 0 {
		l.leaf = depth + 1
	}
	if l.shape[depth] >= 0 && l.shape[depth] != n {
		return l.ragged(depth, "has %d elements, those before it %d", n, l.shape[depth])
	}
	l.shape[depth] = n
	return nil
}

// list reads a list and returns its length. More than most elements do not fit.
func (l *lists[T]) list(depth int, most int64) (n int64, err error) {
	if err := l.enter(); err != nil {
		return 0, err
	}
	for {
		if l.Peek() == ']' && n == 0 {
			break
		}
		if read, more := l.decimals(depth+1, most-n); read > 0 {
			if n += read; !more {
				break
			}
			continue
		}
		l.path[depth] = int(n)
		if n++; n > most {
			l.unfit = true
		}
		if err := l.value(depth + 1); err != nil {
			return n, err
		}
		if l.Peek() != ',' {
			break
		}
		l.at++
	}
	l.depth--
	return n, l.expect(']')
}

// decimals reads up to most elements at a depth for which there is room, if they are floats and written as
// plain decimals. more says that a comma followed the last.
func (l *lists[T]) decimals(depth int, most int64) (read int64, more bool) {
	if l.unfit || l.leaf >= 0 && l.leaf != depth || l.want != nil && len(l.want) != depth {
		return 0, false
	}
	most = min(most, int64(cap(l.data)-len(l.data)), int64(l.limits.Elements-l.elements))
	switch data := any(&l.data).(type) {
	case *[]float32:
		read, more = decimalsInto(l.Reader, data, most, toFloat32)
	case *[]float64:
		read, more = decimalsInto(l.Reader, data, most, toFloat64)
	}
	if read > 0 {
		l.leaf = depth
		l.elements += int(read)
	}
	return read, more
}

func numeral[T tensor.Element](parse func(token string) (T, error)) func(*Reader) (T, error) {
	return func(r *Reader) (T, error) { return parsed(r, parse) }
}

func parsed[T tensor.Element](r *Reader, parse func(token string) (T, error)) (T, error) {
	if c := r.Peek(); c == '"' || c == '{' || c == 't' || c == 'f' || c == 'n' {
		return *new(T), r.not("a number")
	}
	token, err := r.number()
	if err != nil {
		return *new(T), err
	}
	return parse(token)
}

func signed[T int8 | int16 | int32 | int64](token string) (T, error) {
	bits := bitsOf(T(0))
	x, err := strconv.ParseInt(token, 10, bits)
	if err != nil {
		return 0, misfit(token, tensor.DType(fmt.Sprintf("int%d", bits)))
	}
	return T(x), nil
}

func unsigned[T uint8 | uint16 | uint32 | uint64](token string) (T, error) {
	bits := bitsOf(T(0))
	x, err := strconv.ParseUint(token, 10, bits)
	if err != nil {
		return 0, misfit(token, tensor.DType(fmt.Sprintf("uint%d", bits)))
	}
	return T(x), nil
}

// misfit returns the error for a number that its type cannot hold.
func misfit(token string, d tensor.DType) error {
	token = tensor.Cut(token)
	return tensor.Worded(func(name func(tensor.DType) string) string { return token + " does not fit " + name(d) })
}

func bitsOf(zero any) int {
	switch zero.(type) {
	case int8, uint8:
		return 8
	case int16, uint16:
		return 16
	case int32, uint32, float32:
		return 32
	}
	return 64
}
