package tfserving

// Examples for signatures that parse them: each becomes the bytes of a tf.Example.

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// serialized makes a tf.Example of each element of list. A feature that it lacks comes from context.
//
//forgo:writer tf.Example
func serialized(r *served.Request, list []*pb.Example, context *pb.Example) (tensor.Tensor, error) {
	shared := context.GetFeatures().GetFeature()
	values := make([]string, len(list))
	for i, example := range list {
		whole := example
		if len(shared) > 0 {
			features := map[string]*pb.Feature{}
			for name, f := range shared {
				features[name] = f
			}
			for name, f := range example.GetFeatures().GetFeature() {
				features[name] = f
			}
			whole = &pb.Example{Features: &pb.Features{Feature: features}}
		}
		// The merged example repeats the context for each example.
		if err := r.Grow(int64(proto.Size(whole))); err != nil {
			return tensor.Tensor{}, err
		}
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(whole)
		if err != nil {
			return tensor.Tensor{}, served.BadInput("input: example %d: %w", i, err)
		}
		values[i] = text(data)
	}
	return tensor.Tensor{Shape: []int64{int64(len(values))}, Data: values}, nil
}

// parseSerialized reads the body of a classify or regress request to such a signature. Examples may name
// any features, since only the graph knows which it takes.
//
//forgo:reader TensorFlow REST serialized examples
func parseSerialized(m *served.Request, input, verb string, body []byte) (*request, error) {
	q := &request{m: m.Model, concat: m.Concat}
	r := m.Payload().New(body)
	var context *pb.Example
	var list []*pb.Example
	var others []string
	seen := false
	err := q.fields(r, verb, func(name string) (err error) {
		switch name {
		case "context":
			context, err = exampleOf(r)
			return err
		case "examples":
			seen = true
			return r.List(func(i int) error {
				if i == maxRows {
					return fmt.Errorf("more than %d", maxRows)
				}
				e, err := exampleOf(r)
				if err != nil {
					return fmt.Errorf("example %d: %w", i, err)
				}
				list = append(list, e)
				return nil
			})
		}
		others = append(others, name)
		_, err = r.Raw() // passed over, as TensorFlow Serving does
		return err
	})
	switch {
	case err != nil:
	case !seen:
		err = fmt.Errorf("it has no examples%s", only(others))
	case len(list) == 0:
		err = errors.New("examples: it is empty")
	}
	if err != nil {
		return nil, served.BadInput("the body is not a request with examples: %w", err)
	}
	t, err := serialized(m, list, context)
	q.columns = map[string]tensor.Tensor{input: t}
	return q, err
}

// exampleOf reads an object of features: values, or lists of them.
func exampleOf(r *payload.Reader) (*pb.Example, error) {
	if r.Peek() != '{' {
		return nil, errors.New("it is not an object of features")
	}
	features := map[string]*pb.Feature{}
	err := r.Object(func(name string) error {
		f, err := featureOf(r)
		if err != nil {
			return fmt.Errorf("feature %s: %w", tensor.Quote(name), err)
		}
		features[name] = f
		return nil
	})
	return &pb.Example{Features: &pb.Features{Feature: features}}, err
}

// featureOf reads a feature's value, or a list of values of the same kind. As in TensorFlow Serving, a
// number with a point or an exponent is a float, and any other an int64. A string or {"b64": …} is bytes.
func featureOf(r *payload.Reader) (*pb.Feature, error) {
	first := r.Peek()
	if first == '[' {
		first = r.PeekInto()
	}
	var t tensor.Tensor
	var err error
	f := &pb.Feature{}
	switch {
	case first == ']':
		_, err = r.Raw()
		return f, err
	case first == '"' || first == '{':
		t, err = payload.Elements(r, 0, func(r *payload.Reader) (string, error) {
			if r.Peek() == '{' {
				return r.Base64()
			}
			return r.Text()
		})
		elements, _ := t.Data.([]string)
		list := &pb.BytesList{Value: make([][]byte, len(elements))}
		for i, s := range elements {
			list.Value[i] = []byte(s)
		}
		f.Kind = &pb.Feature_BytesList{BytesList: list}
	case r.Whole():
		t, err = r.Tensor(tensor.Int64, 0)
		values, _ := t.Data.([]int64)
		f.Kind = &pb.Feature_Int64List{Int64List: &pb.Int64List{Value: values}}
	default:
		t, err = r.Tensor(tensor.Float32, 0)
		values, _ := t.Data.([]float32)
		f.Kind = &pb.Feature_FloatList{FloatList: &pb.FloatList{Value: values}}
	}
	if err == nil && len(t.Shape) > 1 {
		err = fmt.Errorf("it has shape %v: a feature is a list of values", t.Shape)
	}
	return f, err
}
