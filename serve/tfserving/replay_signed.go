package tfserving

// The part of verify --url for named signatures. It sends tensors and, to classify and regress,
// tf.Examples.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/forgo-ml/forgo/client/replay"
	pb "github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const ownSignature = "serving_default"

// takesExamples reports whether the signature is one of classify or regress that takes tf.Examples.
func takesExamples(m *bundle.Manifest) bool {
	return m.Graph.Method != bundle.Predict && len(m.Inputs) == 1 && m.Inputs[0].DType == tensor.String && len(m.Inputs[0].Shape) == 1
}

// recordedExamples returns the examples in cases, decoded as clients have them.
func recordedExamples(m *bundle.Manifest, cases []bundle.Recorded) ([]*pb.Example, error) {
	var list []*pb.Example
	for _, c := range cases {
		values, err := tensor.Values[string](c.Inputs[m.Inputs[0].Name])
		if err != nil {
			return nil, err
		}
		e := &pb.Example{}
		if err := proto.Unmarshal([]byte(values[0]), e); err != nil {
			return nil, fmt.Errorf("case %s is not a tf.Example: %w", c.ID, err)
		}
		list = append(list, e)
	}
	return list, nil
}

// examples sends tf.Examples to the signature's verb.
func (t rest) examples(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	list, err := recordedExamples(t.Manifest, cases)
	if err != nil {
		return nil, err
	}
	body := []byte(`{"examples":[`)
	for i, e := range list {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendFeatures(body, e)
	}
	answer, err := t.Plain.Call(ctx, http.MethodPost, t.path+":"+t.Manifest.Graph.Method, "application/json", t.naming(append(body, "]}"...)))
	if err != nil {
		return nil, err
	}
	var said struct {
		Results []json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return nil, fmt.Errorf("the answer has no results: %w", err)
	}
	list2 := make([]replay.Row, len(said.Results))
	for i, one := range said.Results {
		var classes []scored
		if t.Manifest.Graph.Method == bundle.Regress {
			classes = make([]scored, 1)
			classes[0].score, err = strconv.ParseFloat(string(one), 32)
		} else {
			var pairs [][2]json.RawMessage
			err = json.Unmarshal(one, &pairs)
			classes = make([]scored, len(pairs))
			for j, pair := range pairs {
				if err == nil {
					err = json.Unmarshal(pair[0], &classes[j].label)
				}
				if err == nil {
					classes[j].score, err = strconv.ParseFloat(string(pair[1]), 32)
				}
			}
		}
		if err == nil {
			list2[i].Outputs, err = outputsOf(t.Manifest, cases[min(i, len(cases)-1)], classes)
		}
		if err != nil {
			return nil, fmt.Errorf("result %d: %w", i, err)
		}
	}
	return list2, nil
}

// appendFeatures writes features as JSON. Floats have a point, which distinguishes them from integers.
func appendFeatures(dst []byte, e *pb.Example) []byte {
	dst = append(dst, '{')
	first := true
	for name, f := range e.GetFeatures().GetFeature() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(tensor.AppendText(dst, name), ':', '[')
		count := 0
		comma := func() {
			if count++; count > 1 {
				dst = append(dst, ',')
			}
		}
		for _, x := range f.GetFloatList().GetValue() {
			comma()
			dst = tensor.AppendFloat(dst, float64(x), 32, tensor.Decimal)
		}
		for _, x := range f.GetInt64List().GetValue() {
			comma()
			dst = strconv.AppendInt(dst, x, 10)
		}
		for _, x := range f.GetBytesList().GetValue() {
			comma()
			dst = appendBase64(dst, x)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

type scored struct {
	label string
	score float64
}

// outputsOf returns a signature's outputs for one row, in the recorded shapes: the first one of regress,
// and the classes and scores that classify has.
func outputsOf(m *bundle.Manifest, c bundle.Recorded, classes []scored) (tensor.Map, error) {
	var labels []string
	var scores []float64
	for _, one := range classes {
		labels, scores = append(labels, one.label), append(scores, one.score)
	}
	out := tensor.Map{}
	for i, o := range m.Outputs {
		want, data := c.Outputs[o.Name], any(scores)
		switch {
		case m.Graph.Method == bundle.Regress && i > 0, m.Graph.Method == bundle.Classify && o.Name != "classes" && o.Name != "scores":
			continue
		case o.DType == tensor.String:
			data = labels
		case o.DType == tensor.Float32:
			narrow := make([]float32, len(scores))
			for j, x := range scores {
				narrow[j] = float32(x)
			}
			data = narrow
		}
		t := tensor.Tensor{Shape: want.Shape, Data: data}
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("output %q: %d values for the shape %v", o.Name, len(classes), want.Shape)
		}
		out[o.Name] = t
	}
	return out, nil
}

// examples sends tf.Examples to the signature's method.
func (p prediction) examples(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	list, err := recordedExamples(p.Manifest, cases)
	if err != nil {
		return nil, err
	}
	spec, err := p.spec(p.signature)
	if err != nil {
		return nil, err
	}
	input := &pb.Input{Kind: &pb.Input_ExampleList{ExampleList: &pb.ExampleList{Examples: list}}}
	var results [][]scored
	if p.Manifest.Graph.Method == bundle.Regress {
		var answer pb.RegressionResponse
		if err := p.Plain.Invoke(ctx, service+"Regress", &pb.RegressionRequest{ModelSpec: spec, Input: input}, &answer); err != nil {
			return nil, err
		}
		for _, one := range answer.GetResult().GetRegressions() {
			results = append(results, []scored{{score: float64(one.GetValue())}})
		}
	} else {
		var answer pb.ClassificationResponse
		if err := p.Plain.Invoke(ctx, service+"Classify", &pb.ClassificationRequest{ModelSpec: spec, Input: input}, &answer); err != nil {
			return nil, err
		}
		for _, one := range answer.GetResult().GetClassifications() {
			var classes []scored
			for _, c := range one.GetClasses() {
				classes = append(classes, scored{c.GetLabel(), float64(c.GetScore())})
			}
			results = append(results, classes)
		}
	}
	rows := make([]replay.Row, len(results))
	for i, classes := range results {
		if rows[i].Outputs, err = outputsOf(p.Manifest, cases[min(i, len(cases)-1)], classes); err != nil {
			return nil, fmt.Errorf("result %d: %w", i, err)
		}
	}
	return rows, nil
}
