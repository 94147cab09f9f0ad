package payload

// Rows in NumPy's files. An array holds the rows of the only input; an archive holds one array for each
// input.

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// ZipMagic is the start of an .npz file, which is a zip archive.
const ZipMagic = "PK\x03\x04"

const (
	// maxDirectory bounds an archive's directory. A few bytes of it take hundreds in memory.
	maxDirectory = 1 << 20
	// mostInflated is the largest ratio that deflate achieves.
	mostInflated = 1032
	unnamed      = "arr_0" // numpy.savez's name for an array without one
)

// Rows reads the rows of arrays in a file that NumPy saved.
type Rows struct {
	limits  Limits
	arrays  []*array
	columns []tensor.Spec // of a matrix, whose columns are the inputs
	rows    int64
	next    int64
}

// NPY opens an array in a .npy file, which holds the rows of the only input or, if every input is a column of
// numbers, a matrix of the columns in their order. length is the size of the file in bytes, or -1 if unknown.
// NPY never unpickles.
func (l Limits) NPY(in io.Reader, length int64, specs []tensor.Spec) (*Rows, error) {
	if IsMatrix(specs) {
		a, err := l.openArray(in, length, tensor.Spec{})
		if err != nil {
			return nil, err
		}
		if len(a.shape) != 2 || a.shape[1] != int64(len(specs)) || a.dtype == tensor.String || a.dtype == tensor.Bool {
			return nil, fmt.Errorf("the array is %s%v; the model takes numbers [rows, %d], the columns in order: %q", a.dtype, a.shape, len(specs), Inputs{Specs: specs}.names())
		}
		return &Rows{limits: l, arrays: []*array{a}, columns: specs, rows: a.shape[0]}, nil
	}
	if len(specs) != 1 {
		return nil, fmt.Errorf("one array gives the rows of one input; the model takes %q: send an .npz file with an array for each", Inputs{Specs: specs}.names())
	}
	a, err := l.openArray(in, length, specs[0])
	if err != nil {
		return nil, err
	}
	return &Rows{limits: l, arrays: []*array{a}, rows: a.shape[0]}, nil
}

// IsMatrix reports whether NPY takes a matrix for inputs: they are several columns of numbers.
func IsMatrix(specs []tensor.Spec) bool {
	return len(specs) > 1 && !slices.ContainsFunc(specs, func(s tensor.Spec) bool {
		return len(s.Shape) != 1 || s.DType == tensor.String || s.DType == tensor.Bool
	})
}

// split converts the columns of a matrix to their inputs.
//
//forgo:reader matrices
func (r *Rows) split(out tensor.Map, t tensor.Tensor) error {
	raw, err := t.Bytes()
	if err != nil {
		return err
	}
	size, rows := t.DType().ElementSize(), t.Rows()
	for i, spec := range r.columns {
		if err := r.limits.grow(int64(rows * size)); err != nil {
			return err
		}
		cells := make([]byte, 0, rows*size)
		for row := range rows {
			cells = append(cells, raw[(row*len(r.columns)+i)*size:][:size]...)
		}
		column, err := tensor.FromBytes(t.DType(), cells, int64(rows))
		if err == nil {
			column, err = (&array{spec: spec}).convert(r.limits, column)
		}
		if err != nil {
			return fmt.Errorf("input %q: %w", spec.Name, OfRow(err))
		}
		out[spec.Name] = column
	}
	return nil
}

// NPZ opens the arrays in an .npz file of length bytes. Each has the name of its input. If there is only
// one input, its array may have the name that numpy.savez gives by default.
func (l Limits) NPZ(in io.ReaderAt, length int64, specs []tensor.Spec) (*Rows, error) {
	if err := l.grow(maxDirectory); err != nil {
		return nil, err
	}
	part := &reading{ReaderAt: in, left: maxDirectory}
	archive, err := zip.NewReader(part, length)
	if err != nil {
		return nil, fmt.Errorf("not an .npz file: %w", err)
	}
	part.free = true
	members := map[string]*zip.File{}
	for _, f := range archive.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		if members[name] != nil {
			return nil, fmt.Errorf("array %s occurs twice", tensor.Quote(name))
		}
		members[name] = f
	}
	if f := members[unnamed]; f != nil && len(members) == 1 && len(specs) == 1 {
		members = map[string]*zip.File{specs[0].Name: f}
	}
	r := &Rows{limits: l}
	for _, spec := range specs {
		f := members[spec.Name]
		if f == nil {
			return nil, fmt.Errorf("it has no array %s; the model takes %q", tensor.Quote(spec.Name), Inputs{Specs: specs}.names())
		}
		delete(members, spec.Name)
		a, err := l.member(f, length, spec)
		if err != nil {
			return nil, fmt.Errorf("array %s: %w", tensor.Quote(spec.Name), err)
		}
		if r.arrays = append(r.arrays, a); len(r.arrays) > 1 && a.shape[0] != r.rows {
			return nil, fmt.Errorf("array %s has %d rows, another %d", tensor.Quote(spec.Name), a.shape[0], r.rows)
		}
		r.rows = a.shape[0]
	}
	for name := range members {
		return nil, fmt.Errorf("the model has no input %s; it takes %q", tensor.Quote(name), Inputs{Specs: specs}.names())
	}
	return r, nil
}

func (l Limits) member(f *zip.File, length int64, spec tensor.Spec) (*array, error) {
	if f.Flags&1 != 0 {
		return nil, errors.New("it is encrypted")
	}
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	return l.openArray(in, min(length, 1<<40)*mostInflated, spec)
}

// reading bounds the bytes that are read before they are freed.
type reading struct {
	io.ReaderAt
	left int
	free bool
}

func (r *reading) ReadAt(p []byte, at int64) (int, error) {
	if r.left -= len(p); r.left < 0 && !r.free {
		return 0, fmt.Errorf("its list of files is longer than %d bytes", maxDirectory)
	}
	return r.ReaderAt.ReadAt(p, at)
}

// Len returns the number of rows.
func (r *Rows) Len() int64 { return r.rows }

// RowBytes returns the number of bytes that a row takes in the file, for the input with the longest rows.
func (r *Rows) RowBytes() (most int64) {
	for _, a := range r.arrays {
		most = max(most, a.row)
	}
	return most
}

// Next returns the next n rows, or fewer at the end. It returns io.EOF after the last.
//
//forgo:reader arrays
func (r *Rows) Next(n int64) (tensor.Map, error) {
	n = min(n, r.rows-r.next)
	if n == 0 {
		return nil, io.EOF
	}
	out := make(tensor.Map, len(r.arrays))
	for _, a := range r.arrays {
		t, err := a.read(r.limits, r.next, n)
		if err == nil && r.columns != nil {
			if err = r.split(out, t); err != nil {
				return nil, err
			}
			continue
		}
		if err == nil {
			t, err = a.convert(r.limits, t)
		}
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", a.spec.Name, err)
		}
		out[a.spec.Name] = t
	}
	if r.next += n; r.next < r.rows {
		return out, nil
	}
	for _, a := range r.arrays { // an archive's checksum is looked at where its file ends
		switch m, err := io.CopyN(io.Discard, a.in, 1); {
		case m > 0:
			return nil, fmt.Errorf("input %q: data follows the array's last element", a.spec.Name)
		case !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("input %q: %w", a.spec.Name, err)
		}
	}
	return out, nil
}
