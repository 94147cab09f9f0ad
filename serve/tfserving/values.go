package tfserving

// The values of one input in a predict request: bare, in lists, in base64 or without sizes of 1 at their end.

import (
	"errors"
	"fmt"
	"slices"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// single reports whether a value without a list around it may be an input's only row. The input's rows
// must be single elements. TensorFlow Serving takes such a value as a scalar.
func (q *request) single(spec tensor.Spec) bool {
	return len(spec.Shape) == 1 && (q.m.Manifest().Picture == nil || spec.Name != Picture)
}

// allBare returns an error if some inputs are bare values and others rows.
func (q *request) allBare(columns predict.Tensors) error {
	if q.bare > 0 && q.bare < len(columns) {
		return errors.New("some inputs are single values and others lists; send lists for all or none")
	}
	return nil
}

// nesting says what a value's lists mean.
type nesting int

const (
	row   nesting = iota // one row of the input
	batch                // rows
	loose                // values, nested in any way
)

// input reads one input's value. Bytes are text, or {"b64": …}; pictures are never text.
func (q *request) input(r *payload.Reader, spec tensor.Spec, n nesting) (tensor.Tensor, error) {
	t, err := q.elements(r, spec, n)
	if err != nil {
		return t, fmt.Errorf("input %q: %w", spec.Name, err)
	}
	return t, nil
}

func (q *request) elements(r *payload.Reader, spec tensor.Spec, n nesting) (tensor.Tensor, error) {
	if n == batch && q.single(spec) && r.Peek() != '[' {
		t, err := q.nested(r, spec, row)
		if err == nil {
			q.bare++
		}
		return t, err
	}
	if n != loose {
		lists := len(spec.Shape) - r.Lists()
		if n == row {
			lists--
		}
		short, err := q.nested(r, spec.Without(lists), n)
		return q.complete(spec, short), err
	}
	return q.nested(r, spec, n)
}

// complete adds the trailing sizes of 1 that a client has omitted. TensorFlow Serving's clients may omit
// them if the graph accepts both.
func (q *request) complete(spec tensor.Spec, t tensor.Tensor) tensor.Tensor {
	left := len(spec.Shape) - len(t.Shape)
	if left <= 0 || t.Data == nil || len(spec.Without(left).Shape) != len(t.Shape) {
		return t
	}
	q.left = max(q.left, left)
	t.Shape = slices.Concat(t.Shape, spec.Shape[len(t.Shape):])
	return t
}

// answered returns the outputs in the form of the request: without trailing sizes of 1 if the inputs
// lacked them, and without a batch dimension for a bare row.
func (q *request) answered(results predict.Tensors) predict.Tensors {
	if q.bare > 0 {
		out := make(predict.Tensors, len(results))
		for name, t := range results {
			t.Shape = t.Shape[1:]
			out[name] = t
		}
		return out
	}
	if q.left == 0 {
		return results
	}
	out := make(predict.Tensors, len(results))
	for name, t := range results {
		for range q.left {
			if n := len(t.Shape); n > 1 && t.Shape[n-1] == 1 {
				t.Shape = t.Shape[:n-1]
			}
		}
		out[name] = t
	}
	return out
}

func (q *request) nested(r *payload.Reader, spec tensor.Spec, n nesting) (tensor.Tensor, error) {
	if spec.DType != tensor.String {
		if n == loose {
			return r.Tensor(spec.DType, 0)
		}
		return r.Input(spec, n == batch)
	}
	picture := q.m.Manifest().Picture != nil && spec.Name == Picture
	t, err := payload.Elements(r, 0, func(r *payload.Reader) (string, error) {
		if picture {
			return r.Base64()
		}
		return r.BytesOrText()
	})
	if n == row && err == nil {
		t = t.Batch()
	}
	if n == batch && len(spec.Shape) == 1 {
		err = payload.OfRow(err)
	}
	return t, err
}
