package pure

// LabelEncoder, OneHotEncoder, ArrayFeatureExtractor.

import (
	"errors"
	"fmt"
	"math"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// mapping is a table from one kind of elements to another.
type mapping struct {
	apply func(out, in *value) error
}

var labelEncoder2 = operator{since: 2, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	m, err := readMapping(s)
	if err != nil {
		return nil, err
	}
	return func(in, out []*value) error { return m.apply(out[0], in[0]) }, s.end()
}}

func readMapping(s *settings) (mapping, error) {
	keyStrings, keyIntegers, keyFloats, keyTensor := s.strings("keys_strings"), s.integers("keys_int64s"), s.floats("keys_floats"), s.value("keys_tensor")
	if keyTensor != nil {
		if t, ok := of[string](keyTensor); ok {
			keyStrings = t
		}
		if t, ok := of[int64](keyTensor); ok {
			keyIntegers = t
		}
		if t, ok := of[float32](keyTensor); ok {
			keyFloats = t
		}
	}
	switch {
	case keyStrings != nil:
		return mappingFrom(s, keyStrings, func(k string) string { return k })
	case keyIntegers != nil:
		return mappingFrom(s, keyIntegers, func(k int64) int64 { return k })
	case keyFloats != nil: // by their bits, for one NaN is like another here
		return mappingFrom(s, keyFloats, func(k float32) uint32 {
			if k != k {
				return math.Float32bits(float32(nan))
			}
			return math.Float32bits(k + 0)
		})
	}
	return mapping{}, errors.New("the type of its keys is not supported")
}

func mappingFrom[K tensor.Element, C comparable](s *settings, keys []K, canonical func(K) C) (mapping, error) {
	strs, integers, floats, values := s.strings("values_strings"), s.integers("values_int64s"), s.floats("values_floats"), s.value("values_tensor")
	otherString, otherInteger, otherFloat, other := s.text("default_string", "_Unused"), s.integer("default_int64", -1), s.float("default_float", float32(math.Copysign(0, -1))), s.value("default_tensor")
	if values != nil {
		if t, ok := of[string](values); ok {
			strs = t
		}
		if t, ok := of[int64](values); ok {
			integers = t
		}
		if t, ok := of[float32](values); ok {
			floats = t
		}
		if other != nil {
			if t, ok := of[string](other); ok && len(t) == 1 {
				otherString = t[0]
			}
			if t, ok := of[int64](other); ok && len(t) == 1 {
				otherInteger = t[0]
			}
			if t, ok := of[float32](other); ok && len(t) == 1 {
				otherFloat = t[0]
			}
		}
	}
	switch {
	case strs != nil:
		return mappingOf(keys, strs, otherString, canonical)
	case integers != nil:
		return mappingOf(keys, integers, otherInteger, canonical)
	case floats != nil:
		return mappingOf(keys, floats, otherFloat, canonical)
	}
	return mapping{}, errors.New("the type of its values is not supported")
}

func mappingOf[K, V tensor.Element, C comparable](keys []K, values []V, otherwise V, canonical func(K) C) (mapping, error) {
	if len(keys) != len(values) {
		return mapping{}, fmt.Errorf("it has %d keys and %d values", len(keys), len(values))
	}
	table := make(map[C]V, len(keys))
	for i, k := range keys {
		if _, there := table[canonical(k)]; !there {
			table[canonical(k)] = values[i]
		}
	}
	return mapping{func(out, in *value) error {
		x, ok := of[K](in)
		if !ok {
			return unsupported(in)
		}
		y, err := allocate[V](out, in.shape...)
		if err != nil {
			return err
		}
		for i, k := range x {
			v, known := table[canonical(k)]
			if !known {
				v = otherwise
			}
			y[i] = v
		}
		return nil
	}}, nil
}

var oneHotEncoder = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	strs, integers, zeros := s.strings("cats_strings"), s.integers("cats_int64s"), s.integer("zeros", 1) != 0
	if (len(strs) > 0) == (len(integers) > 0) {
		return nil, errors.New("it has no categories, or two kinds of them")
	}
	byString, byInteger := indexOf(strs), indexOf(integers)
	return func(in, out []*value) error {
		if err := out[0].memory.fits(int64(in[0].count()), 8); err != nil { // widened
			return err
		}
		switch x := in[0].data.(type) {
		case *[]string:
			return oneHot(out[0], in[0], *x, byString, zeros)
		case *[]int64:
			return oneHot(out[0], in[0], *x, byInteger, zeros)
		case *[]int32:
			return oneHot(out[0], in[0], widen(*x), byInteger, zeros)
		case *[]float32:
			return oneHot(out[0], in[0], widen(*x), byInteger, zeros)
		case *[]float64:
			return oneHot(out[0], in[0], widen(*x), byInteger, zeros)
		}
		return unsupported(in[0])
	}, s.end()
}}

func indexOf[K comparable](keys []K) map[K]int {
	table := make(map[K]int, len(keys))
	for i, k := range keys {
		table[k] = i
	}
	return table
}

func widen[T number](x []T) []int64 {
	wide := make([]int64, len(x))
	for i, v := range x {
		wide[i] = int64(v)
	}
	return wide
}

func oneHot[K tensor.Element](out, in *value, x []K, table map[K]int, zeros bool) error {
	if len(table) == 0 {
		return unsupported(in)
	}
	y, err := allocate[float32](out, append(append(out.shape[:0], in.shape...), int64(len(table)))...)
	if err != nil {
		return err
	}
	clear(y)
	for i, k := range x {
		at, known := table[k]
		if known {
			y[i*len(table)+at] = 1
		} else if !zeros {
			return errors.New("unknown category, for which the graph has no value")
		}
	}
	return nil
}

var arrayFeatureExtractor = operator{since: 1, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		index, err := in[1].integers()
		if err != nil {
			return err
		}
		x := in[0]
		if len(x.shape) == 0 || len(index) == 0 {
			return errors.New("its input or its indices are empty")
		}
		for _, i := range index {
			if i < 0 {
				return fmt.Errorf("index %d is out of range", i)
			}
		}
		last := len(x.shape) - 1
		if err := gathered(out[0], x, last, index, []int64{int64(len(index))}); err != nil {
			return err
		}
		if len(x.shape) == 1 {
			out[0].shape = append(out[0].shape[:0], 1, int64(len(index)))
		}
		return nil
	}, n.settings().end()
}}
