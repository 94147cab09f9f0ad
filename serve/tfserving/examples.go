package tfserving

// The bodies and messages of classify and regress requests: examples, and what they share.

import (
	"errors"
	"fmt"
	"slices"

	pb "github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// parseExamples reads the body of a classify or regress request: examples with named features, and a
// context of features that all share. A feature's values fill the input's row.
func parseExamples(m *served.Request, verb string, body []byte) (*request, error) {
	if input, ok := Examples(m.Model); ok {
		return parseSerialized(m, input, verb, body)
	}
	q := &request{m: m.Model, concat: m.Concat}
	r := m.Payload().New(body)
	shared := map[string]tensor.Tensor{}
	parts := features{}
	n := -1
	var others []string
	err := q.fields(r, verb, func(name string) error {
		switch name {
		case "context":
			return q.example(r, func(name string, t tensor.Tensor) error {
				shared[name] = t
				return nil
			})
		case "examples":
			n = 0
			return r.List(func(i int) error {
				if n++; n > maxRows {
					return fmt.Errorf("more than %d", maxRows)
				}
				err := q.example(r, func(name string, t tensor.Tensor) error {
					parts.add(i, name, t)
					return nil
				})
				if err != nil {
					return fmt.Errorf("example %d: %w", i, err)
				}
				return nil
			})
		}
		others = append(others, name)
		_, err := r.Raw() // passed over, as TensorFlow Serving does
		return err
	})
	if err == nil && n < 0 {
		err = fmt.Errorf("it has no examples%s", only(others))
	}
	if err == nil && n == 0 {
		err = errors.New("examples: it is empty")
	}
	if err == nil {
		q.columns, err = q.fill(parts, shared, n)
	}
	if err != nil {
		return nil, served.BadInput("the body is not a request with examples: %w", err)
	}
	return q, nil
}

// features holds the examples' values by feature, in order. Omitted ones have no data.
type features map[string][]tensor.Tensor

func (f features) add(example int, name string, t tensor.Tensor) {
	for len(f[name]) < example { // left out so far: the context must have it
		f[name] = append(f[name], tensor.Tensor{})
	}
	f[name] = append(f[name], t)
}

// fill uses shared values where examples omit a feature.
func (q *request) fill(parts features, shared map[string]tensor.Tensor, n int) (predict.Tensors, error) {
	for name := range shared {
		if parts[name] == nil {
			parts[name] = []tensor.Tensor{}
		}
	}
	elements := 0
	for name, rows := range parts {
		if elements += n * shared[name].Len(); elements > q.m.MaxElements {
			return nil, fmt.Errorf("context: feature %q has more than %d elements", name, q.m.MaxElements)
		}
		rows = append(rows, make([]tensor.Tensor, max(0, n-len(rows)))...)
		for i := range rows {
			if rows[i].Data != nil {
				continue
			}
			t, ok := shared[name]
			if !ok {
				return nil, fmt.Errorf("example %d: neither it nor the context has feature %q", i, name)
			}
			rows[i] = t
		}
		parts[name] = rows
	}
	return q.join(parts)
}

// example reads one example's features, each shaped as a row of its input.
//
//forgo:reader TensorFlow REST examples
func (q *request) example(r *payload.Reader, each func(name string, t tensor.Tensor) error) error {
	return q.named(r, loose, func(spec tensor.Spec, t tensor.Tensor) error {
		t, err := asRow(spec, t)
		if err != nil {
			return err
		}
		return each(spec.Name, t)
	})
}

// asRow gives a feature's values the shape of a batch of one.
func asRow(spec tensor.Spec, t tensor.Tensor) (tensor.Tensor, error) {
	if row := spec.Shape[1:]; !slices.Contains(row, -1) {
		if n, err := tensor.Count(row); err != nil || n != int64(t.Len()) {
			return tensor.Tensor{}, fmt.Errorf("feature %q has %d values; its input takes %v", spec.Name, t.Len(), row)
		}
		t.Shape = row
	}
	return t.Batch(), nil
}

// examples reads the examples of a message.
func (q *request) examples(r *served.Request, in *pb.Input) error {
	list, context := in.GetExampleList().GetExamples(), (*pb.Example)(nil)
	if with := in.GetExampleListWithContext(); with != nil {
		list, context = with.GetExamples(), with.GetContext()
	}
	if len(list) == 0 {
		return served.BadInput("input: it has no examples")
	}
	if len(list) > maxRows {
		return served.BadInput("input: examples: more than %d", maxRows)
	}
	if input, ok := Examples(q.m); ok {
		t, err := serialized(r, list, context)
		q.columns = predict.Tensors{input: t}
		return err
	}
	parts, shared := features{}, map[string]tensor.Tensor{}
	err := q.features(context, func(name string, t tensor.Tensor) { shared[name] = t })
	if err != nil {
		return served.BadInput("input: context: %w", err)
	}
	for i, example := range list {
		if err := q.features(example, func(name string, t tensor.Tensor) { parts.add(i, name, t) }); err != nil {
			return served.BadInput("input: example %d: %w", i, err)
		}
	}
	if q.columns, err = q.fill(parts, shared, len(list)); err != nil {
		return served.BadInput("input: %w", err)
	}
	return nil
}

// features reads a message's features, each shaped as a row of its input.
func (q *request) features(example *pb.Example, each func(name string, t tensor.Tensor)) error {
	for name, feature := range example.GetFeatures().GetFeature() {
		spec, err := q.spec(name)
		if err != nil {
			return err
		}
		t, err := fromFeature(spec.DType, feature)
		if err != nil {
			return fmt.Errorf("feature %q: %w", name, err)
		}
		if t, err = asRow(spec, t); err != nil {
			return err
		}
		each(name, t)
	}
	return nil
}

// fromFeature reads a feature, which has only three types, for an input of type d.
//
//forgo:reader tf.Example
func fromFeature(d tensor.DType, f *pb.Feature) (tensor.Tensor, error) {
	var list string
	var data any
	n := 0
	switch kind := f.GetKind().(type) {
	case *pb.Feature_BytesList:
		list, n = "bytes_list", len(kind.BytesList.GetValue())
		if d == tensor.String {
			elements := make([]string, n)
			for i, b := range kind.BytesList.GetValue() {
				elements[i] = text(b)
			}
			data = elements
		}
	case *pb.Feature_FloatList:
		values := kind.FloatList.GetValue()
		list, n = "float_list", len(values)
		switch d {
		case tensor.Float32:
			data = values
		case tensor.Float64:
			wide := make([]float64, n)
			for i, x := range values {
				wide[i] = float64(x)
			}
			data = wide
		}
	case *pb.Feature_Int64List:
		values := kind.Int64List.GetValue()
		list, n = "int64_list", len(values)
		switch d {
		case tensor.Int64:
			data = values
		case tensor.Int32:
			narrow, err := wire.Narrow[int32](values)
			if err != nil {
				return tensor.Tensor{}, fmt.Errorf("int64_list: %w", err)
			}
			data = narrow
		}
	default:
		return tensor.Tensor{}, errors.New("it has no values")
	}
	if data == nil {
		return tensor.Tensor{}, fmt.Errorf("%s does not fit an input of type %s; use Predict", list, typeNames[d])
	}
	return tensor.Tensor{Shape: []int64{int64(n)}, Data: data}, nil
}
