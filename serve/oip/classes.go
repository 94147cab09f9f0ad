package oip

// The classification extension: an output's best classes instead of its values.

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// setClasses sets the output parameter classification.
func (o *output) setClasses(n int64) error {
	if n < 1 {
		return fmt.Errorf("%d is not a number of classes; send 1 or more", n)
	}
	o.classes = int(min(n, math.MaxInt32))
	return nil
}

// readClasses parses it from JSON, in which 3 and 3.0 are the same number.
func (o *output) readClasses(number []byte) error {
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(number), 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
			return fmt.Errorf("%s is not a number of classes; send 1 or more", tensor.Cut(string(number)))
		}
		n = int64(f)
	}
	return o.setClasses(n)
}

// classify returns an error if an output of type d has no best values.
func (o output) classify(d tensor.DType) error {
	if o.classes > 0 && (d == tensor.String || d == tensor.Bool) {
		return fmt.Errorf("parameters: classification: output %q is %s; it needs an output of numbers", o.name, wire.Datatype(d))
	}
	return nil
}

// of returns the output's tensor or, if classes are requested, a BYTES tensor [rows, classes] of
// "VALUE:INDEX", or of "VALUE:INDEX:LABEL" if the classes have names, largest value first. Values have
// Triton's format: six decimals for floats.
//
//forgo:writer OIP classes
func (o output) of(m *served.Model, results predict.Tensors) (tensor.Tensor, error) {
	t := results[o.name]
	if o.classes == 0 {
		return t, nil
	}
	var labels []string
	if manifest := m.Manifest(); m.Classifier() && o.name == manifest.Outputs[0].Name {
		labels = manifest.Labels
	}
	switch data := t.Data.(type) {
	case []float32:
		return best(t, data, o.classes, labels, float[float32]), nil
	case []float64:
		return best(t, data, o.classes, labels, float[float64]), nil
	case []int8:
		return best(t, data, o.classes, labels, whole[int8]), nil
	case []int16:
		return best(t, data, o.classes, labels, whole[int16]), nil
	case []int32:
		return best(t, data, o.classes, labels, whole[int32]), nil
	case []int64:
		return best(t, data, o.classes, labels, whole[int64]), nil
	case []uint8:
		return best(t, data, o.classes, labels, whole[uint8]), nil
	case []uint16:
		return best(t, data, o.classes, labels, whole[uint16]), nil
	case []uint32:
		return best(t, data, o.classes, labels, whole[uint32]), nil
	case []uint64:
		return best(t, data, o.classes, labels, whole[uint64]), nil
	}
	values, err := t.Floats() // half precision
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("output %q: %w", o.name, err)
	}
	return best(t, values, o.classes, labels, float[float64]), nil
}

func float[T float32 | float64](dst []byte, x T) []byte {
	switch f := float64(x); {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	default:
		return strconv.AppendFloat(dst, f, 'f', 6, 64)
	}
}

func whole[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](dst []byte, x T) []byte {
	return fmt.Append(dst, x)
}

// best returns the n largest elements of each row. Among equal ones, the first wins. NaN is below all
// numbers.
func best[T cmp.Ordered](t tensor.Tensor, data []T, n int, labels []string, write func([]byte, T) []byte) tensor.Tensor {
	width := 1
	for _, size := range t.Shape[1:] {
		width *= int(size)
	}
	n = min(n, width)
	values := make([]string, 0, t.Rows()*n)
	order := make([]int, width)
	for at := 0; n > 0 && at < len(data); at += width {
		row := data[at : at+width]
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(row[b], row[a]) })
		for _, i := range order[:n] {
			text := append(write(nil, row[i]), ':')
			text = strconv.AppendInt(text, int64(i), 10)
			if labels != nil {
				text = append(append(text, ':'), labels[i]...)
			}
			values = append(values, string(text))
		}
	}
	return tensor.Tensor{Shape: []int64{int64(t.Rows()), int64(n)}, Data: values}
}
