package pure

// Scaler, Normalizer, Imputer, Binarizer; LinearClassifier and LinearRegressor.

import (
	"errors"
	"fmt"
	"math"
)

var scaler = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, scratch: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	offset, by := s.floats("offset"), s.floats("scale")
	if len(offset) != len(by) || len(by) == 0 {
		return nil, errors.New("its offset and scale differ in number")
	}
	return func(in, out []*value) error {
		x, _, columns, err := rows[float32](in[0], out[1])
		if err != nil {
			return err
		}
		if len(by) != 1 && len(by) != columns {
			return fmt.Errorf("it scales %d columns, the input has %d", len(by), columns)
		}
		y, err := allocate[float32](out[0], in[0].shape...)
		if err != nil {
			return err
		}
		if len(by) == 1 {
			for i, v := range x {
				y[i] = (v - offset[0]) * by[0]
			}
			return nil
		}
		for ; len(x) > 0; x, y = x[columns:], y[columns:] {
			for i, v := range x[:columns] {
				y[i] = (v - offset[i]) * by[i]
			}
		}
		return nil
	}, s.end()
}}

var normalizer = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, scratch: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	norm := s.text("norm", "MAX")
	if norm != "MAX" && norm != "L1" && norm != "L2" {
		return nil, fmt.Errorf("its norm %q is not supported", norm)
	}
	return func(in, out []*value) error {
		x, _, columns, err := rows[float32](in[0], out[1])
		if err != nil {
			return err
		}
		y, err := allocate[float32](out[0], in[0].shape...)
		if err != nil {
			return err
		}
		for ; len(x) > 0; x, y = x[columns:], y[columns:] {
			normalize(y[:columns], x[:columns], norm)
		}
		return nil
	}, s.end()
}}

func normalize(y, x []float32, norm string) {
	sum := float32(0)
	if norm == "MAX" {
		sum = float32(math.Inf(-1))
	}
	for _, v := range x {
		switch norm {
		case "MAX":
			sum = max(sum, v)
		case "L1":
			sum += abs32(v)
		default:
			sum += v * v
		}
	}
	switch {
	case sum == 0:
		copy(y, x)
	case norm == "L2":
		for i, v := range x {
			root := float32(math.Sqrt(float64(v * v / sum)))
			if v < 0 {
				root = -root
			}
			y[i] = root
		}
	default:
		for i, v := range x {
			y[i] = v / sum
		}
	}
}

var imputer = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	floats, missing := s.floats("imputed_value_floats"), s.float("replaced_value_float", 0)
	integers, absent := s.integers("imputed_value_int64s"), s.integer("replaced_value_int64", 0)
	return func(in, out []*value) error {
		switch x := in[0].data.(type) {
		case *[]float32:
			return impute(out[0], in[0], *x, floats, func(v float32) bool { return v == missing || v != v && missing != missing })
		case *[]int64:
			return impute(out[0], in[0], *x, integers, func(v int64) bool { return v == absent })
		}
		return unsupported(in[0])
	}, s.end()
}}

func impute[T number](out, in *value, x, with []T, missing func(T) bool) error {
	if len(in.shape) != 1 && len(in.shape) != 2 || len(with) == 0 {
		return fmt.Errorf("%d values do not fit an input %v", len(with), in.shape)
	}
	columns := int(in.shape[len(in.shape)-1])
	if len(with) != 1 && len(with) != columns {
		return fmt.Errorf("%d values do not fit an input %v", len(with), in.shape)
	}
	y, err := allocate[T](out, in.shape...)
	if err != nil {
		return err
	}
	for i, v := range x {
		if missing(v) {
			v = with[i%columns%len(with)]
		}
		y[i] = v
	}
	return nil
}

var binarizer = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	threshold := s.float("threshold", 0)
	return func(in, out []*value) error {
		x, ok := of[float32](in[0])
		if !ok {
			return unsupported(in[0])
		}
		y, err := allocate[float32](out[0], in[0].shape...)
		if err != nil {
			return err
		}
		for i, v := range x {
			y[i] = 0
			if v > threshold {
				y[i] = 1
			}
		}
		return nil
	}, s.end()
}}

// readCoefficients reads weights [targets, columns], turned for multiply.
func readCoefficients(s *settings, targets int) (turned []float32, columns int, err error) {
	w := s.floats("coefficients")
	if targets < 1 || len(w) == 0 || len(w)%targets != 0 {
		return nil, 0, fmt.Errorf("%d coefficients do not fit %d targets", len(w), targets)
	}
	columns = len(w) / targets
	turned = make([]float32, len(w))
	for t := range targets {
		for c := range columns {
			turned[c*targets+t] = w[t*columns+c]
		}
	}
	return turned, columns, nil
}

var linearRegressor = operator{since: 1, inputs: [2]int{1, 1}, outputs: 1, scratch: 1, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	targets, intercepts := int(s.integer("targets", 1)), s.floats("intercepts")
	w, columns, err := readCoefficients(s, targets)
	if err != nil {
		return nil, err
	}
	if len(intercepts) != 0 && len(intercepts) != targets {
		return nil, fmt.Errorf("%d intercepts do not fit %d targets", len(intercepts), targets)
	}
	t, err := readTransform(s)
	if err != nil {
		return nil, err
	}
	return func(in, out []*value) error {
		x, n, have, err := rows[float32](in[0], out[1])
		if err != nil {
			return err
		}
		if have != columns {
			return fmt.Errorf("it takes %d columns, the input has %d", columns, have)
		}
		y, err := allocate[float32](out[0], int64(n), int64(targets))
		if err != nil {
			return err
		}
		for i := range n {
			row := y[i*targets:][:targets]
			clear(row)
			copy(row, intercepts)
		}
		if err := multiply(out[0].memory, y, x, w, n, columns, targets); err != nil {
			return err
		}
		for i := range n {
			t.all(y[i*targets:][:targets])
		}
		return nil
	}, s.end()
}}

var linearClassifier = operator{since: 1, inputs: [2]int{1, 1}, outputs: 2, scratch: 2, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	s.ignore("multi_class") // ONNX Runtime ignores it, too
	labels, err := readClasses(s, "classlabels_strings", "classlabels_ints")
	if err != nil {
		return nil, err
	}
	intercepts := s.floats("intercepts")
	targets := len(intercepts)
	w, columns, err := readCoefficients(s, targets)
	if err != nil {
		return nil, err
	}
	t, err := readTransform(s)
	if err != nil {
		return nil, err
	}
	both := targets == 1 && labels.len() == 2
	if !both && labels.len() != targets {
		return nil, fmt.Errorf("%d labels do not fit %d targets", labels.len(), targets)
	}
	return func(in, out []*value) error {
		x, n, have, err := rows[float32](in[0], out[2])
		if err != nil {
			return err
		}
		if have != columns {
			return fmt.Errorf("it takes %d columns, the input has %d", columns, have)
		}
		scores, err := allocate[float32](out[3], int64(n), int64(targets))
		if err != nil {
			return err
		}
		for i := range n {
			copy(scores[i*targets:][:targets], intercepts)
		}
		if err := multiply(out[0].memory, scores, x, w, n, columns, targets); err != nil {
			return err
		}
		strs, integers, err := labels.allocate(out[0], n)
		if err != nil {
			return err
		}
		for i := range n {
			row := scores[i*targets:][:targets]
			best := 0
			for j, v := range row {
				if v > row[best] {
					best = j
				}
			}
			if targets == 1 {
				best = 0
				if row[0] > 0 && labels.len() == 2 {
					best = 1
				}
			}
			if strs != nil {
				strs[i] = labels.strings[best]
			} else {
				integers[i] = labels.integers[best]
			}
		}
		if out[1] == nil {
			return nil
		}
		if !both {
			y, err := allocate[float32](out[1], int64(n), int64(targets))
			if err != nil {
				return err
			}
			copy(y, scores)
			for i := range n {
				t.all(y[i*targets:][:targets])
			}
			return nil
		}
		y, err := allocate[float32](out[1], int64(n), 2)
		if err != nil {
			return err
		}
		for i, v := range scores {
			t.pair(y[2*i:][:2], v, complement)
		}
		return nil
	}, s.end()
}}
