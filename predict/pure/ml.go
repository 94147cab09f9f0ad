package pure

// What the operators of ai.onnx.ml share: rows of numbers, labels, and transforms of scores.

import (
	"errors"
	"fmt"
	"math"
)

// rows returns a value as rows of numbers of one type. It converts other types in scratch.
func rows[T float](in, scratch *value) (x []T, n, columns int, err error) {
	switch len(in.shape) {
	case 1:
		n, columns = 1, int(in.shape[0])
	case 2:
		n, columns = int(in.shape[0]), int(in.shape[1])
	default:
		return nil, 0, 0, fmt.Errorf("an input %v has no rows", in.shape)
	}
	if d, ok := of[T](in); ok {
		return d, n, columns, nil
	}
	switch d := in.data.(type) {
	case *[]float32:
		err = convert[float32, T](scratch, in, *d)
	case *[]float64:
		err = convert[float64, T](scratch, in, *d)
	case *[]int64:
		err = convert[int64, T](scratch, in, *d)
	case *[]int32:
		err = convert[int32, T](scratch, in, *d)
	default:
		err = unsupported(in)
	}
	if err != nil {
		return nil, 0, 0, err
	}
	x, _ = of[T](scratch)
	return x, n, columns, nil
}

// classes holds a classifier's labels, either strings or integers.
type classes struct {
	strings  []string
	integers []int64
}

func readClasses(s *settings, strs, integers string) (classes, error) {
	c := classes{s.strings(strs), s.integers(integers)}
	if (len(c.strings) > 0) == (len(c.integers) > 0) {
		return c, errors.New("it has no labels, or two kinds of them")
	}
	return c, nil
}

func (c *classes) len() int { return max(len(c.strings), len(c.integers)) }

// allocate gives out memory for n labels, and returns it as strings or integers; the other is nil.
func (c *classes) allocate(out *value, n int) (strs []string, integers []int64, err error) {
	if c.strings != nil {
		strs, err = allocate[string](out, int64(n))
	} else {
		integers, err = allocate[int64](out, int64(n))
	}
	return strs, integers, err
}

// transform is the final transform of scores.
type transform int

const (
	noTransform transform = iota
	logisticTransform
	softmaxTransform
	softmaxZeroTransform
)

func readTransform(s *settings) (transform, error) {
	switch name := s.text("post_transform", "NONE"); name {
	case "NONE":
		return noTransform, nil
	case "LOGISTIC":
		return logisticTransform, nil
	case "SOFTMAX":
		return softmaxTransform, nil
	case "SOFTMAX_ZERO":
		return softmaxZeroTransform, nil
	default:
		return 0, fmt.Errorf("its post_transform %q is not supported", name)
	}
}

// all transforms the scores of one row, in place.
func (t transform) all(scores []float32) {
	switch t {
	case logisticTransform:
		for i, v := range scores {
			scores[i] = float32(sigmoid64(float64(v)))
		}
	case softmaxTransform, softmaxZeroTransform:
		most := float32(-math.MaxFloat32)
		for _, v := range scores {
			most = max(most, v)
		}
		// Scores of 0 stay near 0 if the transform asks for that.
		zero, sum := math.Exp(-float64(most)), 0.0
		for i, v := range scores {
			if t == softmaxZeroTransform && v <= 1e-7 && v >= -1e-7 {
				scores[i] = float32(float64(v) * zero)
				continue
			}
			e := math.Exp(float64(v - most))
			scores[i] = float32(e)
			sum += e
		}
		for i, v := range scores {
			scores[i] = float32(float64(v) / sum)
		}
	}
}

// sides says how one number becomes the scores of two classes.
type sides int

const (
	complement sides = iota // 1-s, s
	opposite                // -s, s
)

// pair writes the scores of two classes that s stands for. Softmax leaves them as they are.
func (t transform) pair(to []float32, s float32, by sides) {
	switch {
	case t == logisticTransform && by == complement:
		s = float32(sigmoid64(float64(s)))
		to[0], to[1] = 1-s, s
	case by == complement:
		to[0], to[1] = 1-s, s
	default:
		to[0], to[1] = -s, s
		if t == logisticTransform {
			t.all(to[:2])
		}
	}
}
