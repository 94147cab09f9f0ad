package predict

// Golden cases as arrays in NumPy's format, to replay the reader of that format.

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Ways in which NumPy saves the same array.
const (
	asTheyLie = iota
	mostSignificantFirst
	firstSizeFastest
)

var numpyTypes = map[tensor.DType]string{
	tensor.Bool: "b1", tensor.Int8: "i1", tensor.Int16: "i2", tensor.Int32: "i4", tensor.Int64: "i8",
	tensor.Uint8: "u1", tensor.Uint16: "u2", tensor.Uint32: "u4", tensor.Uint64: "u8",
	tensor.Float16: "f2", tensor.Float32: "f4", tensor.Float64: "f8",
}

// numpyFile returns an .npz file, or nil if NumPy has no such arrays.
func numpyFile(tensors Tensors, way int) ([]byte, error) {
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	for name, t := range tensors {
		// Stored, as numpy.savez does; a compressor would take 1.5 MB.
		file, err := archive.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
		if err != nil {
			return nil, fmt.Errorf("write arrays: %w", err)
		}
		array, ok, err := numpyArray(t, way)
		if err != nil || !ok {
			return nil, err
		}
		if _, err := file.Write(array); err != nil {
			return nil, fmt.Errorf("write arrays: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("write arrays: %w", err)
	}
	return b.Bytes(), nil
}

// matrixFile returns an .npy file of columns side by side, or nil if float64 does not hold them.
func matrixFile(tensors Tensors, specs []tensor.Spec) ([]byte, error) {
	var cells []float64
	for i, s := range specs {
		column, err := tensors[s.Name].Floats()
		if err != nil {
			return nil, fmt.Errorf("write a matrix: %w", err)
		}
		if i == 0 {
			cells = make([]float64, len(column)*len(specs))
		}
		for row, x := range column {
			if whole := s.DType != tensor.Float32 && s.DType != tensor.Float64; whole && math.Abs(x) >= 1<<53 {
				return nil, nil
			}
			cells[row*len(specs)+i] = x
		}
	}
	matrix := tensor.Tensor{Shape: []int64{int64(len(cells) / len(specs)), int64(len(specs))}, Data: cells}
	file, _, err := numpyArray(matrix, asTheyLie)
	return file, err
}

func numpyArray(t Tensor, way int) (_ []byte, ok bool, err error) {
	raw, size, kind, order := []byte(nil), t.DType().ElementSize(), numpyTypes[t.DType()], "<"
	if values, is := t.Data.([]string); is {
		if raw, size = fixedRoom(values); raw == nil {
			return nil, false, nil
		}
		kind, order = fmt.Sprintf("S%d", size), "|"
	} else if raw, err = t.Bytes(); err != nil || kind == "" {
		return nil, false, err
	}
	fortran := "False"
	switch way {
	case mostSignificantFirst:
		if order == "<" {
			order = ">"
			raw = bytes.Clone(raw)
			for item := range slices.Chunk(raw, size) {
				slices.Reverse(item)
			}
		}
	case firstSizeFastest:
		fortran, raw = "True", columnsFirst(raw, size, t.Shape)
	}
	shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ", "), "[]")
	header := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': %s, 'shape': (%s,), }\n", order, kind, fortran, shape)
	head := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return slices.Concat(head, []byte(header), raw), true, nil
}

// fixedRoom pads strings to the length of the longest. It returns nil if one ends in zeros, which NumPy
// drops, or if padding takes far more room than the strings.
func fixedRoom(values []string) (raw []byte, size int) {
	all := 0
	for _, text := range values {
		if strings.HasSuffix(text, "\x00") {
			return nil, 0
		}
		size, all = max(size, len(text)), all+len(text)
	}
	if size == 0 || size*len(values) > 4*all+1<<16 {
		return nil, 0
	}
	raw = make([]byte, size*len(values))
	for i, text := range values {
		copy(raw[i*size:], text)
	}
	return raw, size
}

// columnsFirst orders elements so that the first index changes fastest.
func columnsFirst(raw []byte, size int, shape []int64) []byte {
	out := make([]byte, 0, len(raw))
	at := make([]int64, len(shape))
	for range len(raw) / max(1, size) {
		index := int64(0)
		for d, n := range shape {
			index = index*n + at[d]
		}
		out = append(out, raw[index*int64(size):][:size]...)
		for d := range at {
			if at[d]++; at[d] < shape[d] {
				break
			}
			at[d] = 0
		}
	}
	return out
}
