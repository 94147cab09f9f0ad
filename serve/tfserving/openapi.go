package tfserving

// The protocol's part of the OpenAPI document.

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/openapi"
)

var document = openapi.Protocol{
	Title: "TensorFlow Serving's REST API", About: "TensorFlow Serving's API, over gRPC as well",
	Model: func(b *openapi.Builder, d *openapi.Model, at openapi.At) {
		builder{b}.model(model{d}, at.Kind, at.Name)
	},
	Server: func(b *openapi.Builder) { builder{b}.server() },
}

type (
	builder struct{ *openapi.Builder }
	model   struct{ *openapi.Model }
)

// server adds the list of models.
func (b builder) server() {
	names := openapi.Object(openapi.Property("models", openapi.List(openapi.Text(), 0, -1))).Closed()
	b.ServerGet("v1_models", "/v1/models", "The models' names", openapi.Answers(openapi.InBody("Every model, ready or not.", openapi.Content(openapi.JSONType, names))))
}

// model adds a model's paths. kind is "", "versions" or "labels", and name says which.
func (b builder) model(d model, kind, name string) {
	path, id := "/v1/models/"+url.PathEscape(d.Name), d.ID+"_tf"
	if kind != "" {
		path, id = path+"/"+kind+"/"+url.PathEscape(name), id+"_"+kind[:1]+"_"+name
	}
	again := d.Again && kind != ""
	get := func(what, at, sum string, s *openapi.Schema) {
		b.Add(http.MethodGet, path+at, &openapi.Operation{
			ID: id + "_" + what, Tags: []string{d.Tag}, Summary: sum, Again: again,
			Responses: openapi.Answers(openapi.InBody(sum+".", openapi.Content(openapi.JSONType, s)), 404),
			Samples:   []openapi.Sample{b.Curl(sum, path+at, "")},
		})
	}
	for _, v := range d.verbs(b) {
		at, body := path+":"+v.name, openapi.Content(openapi.JSONType, v.request)
		var samples []openapi.Sample
		if d.PictureAlone {
			samples = append(samples, b.Piped("A picture", at, v.piped))
		}
		if v.sent != nil {
			if d.Encoded == nil {
				body.Value.Examples = openapi.Ordered[*openapi.Example]{openapi.NewExample("row", "One row", v.sent)}
			}
			samples = append(samples, b.Post(d.Model, "One row", at, v.sent))
		}
		b.Add(http.MethodPost, at, &openapi.Operation{
			ID: id + "_" + v.name, Tags: []string{d.Tag}, Summary: v.summary, Again: again, Samples: samples,
			Parameters: []openapi.Parameter{openapi.Deadline()},
			Body:       &openapi.Body{Required: true, Content: openapi.Ordered[*openapi.Media]{body}},
			Responses:  openapi.Answers(openapi.InBody("The answer. NaN, Infinity and -Infinity are bare words.", openapi.Content(openapi.JSONType, v.answer)), openapi.Predictions...),
		})
	}
	get("status", "", "The states of its versions", b.tfStatus())
	get("metadata", "/metadata", "The signature's names, types and shapes", openapi.Once(d.Memo, "tfserving metadata", func() *openapi.Schema { return d.signature(b) }))
}

// verb is predict, classify or regress of a model.
type verb struct {
	name, summary   string
	request, answer *openapi.Schema
	sent            any    // an example; nil where rows are too long
	piped           string // an example with %s for a picture in base64
}

// verbs returns the verbs of a version, which all its paths share.
func (d model) verbs(b builder) []verb {
	return openapi.Once(d.Memo, "tfserving verbs", func() []verb { return d.newVerbs(b) })
}

func (d model) newVerbs(b builder) (verbs []verb) {
	all := []model{d}
	for _, m := range d.Signed() {
		all = append(all, model{b.Signed(d.Model, m)})
	}
	for _, v := range []verb{
		{name: "predict", summary: "Predict: rows for rows, or columns for columns", piped: `{"instances":[{"b64":"%s"}]}`},
		{name: "classify", summary: "Classify: every label with its score, in the model's order", piped: `{"examples":[{"b64":"%s"}]}`},
		{name: "regress", summary: "Regress: one number for each example", piped: `{"examples":[{"b64":"%s"}]}`},
	} {
		var requests, answers []*openapi.Schema
		for _, s := range all {
			if request, answer := s.way(v.name); request != nil {
				requests, answers = append(requests, request), append(answers, answer)
			}
		}
		if len(requests) == 0 {
			continue
		}
		request, answer := "ExamplesRequest", "Results"
		if v.name == bundle.Predict {
			request, answer = "PredictRequest", "PredictResponse"
		}
		v.request, v.answer = b.Schema(d.Prefix+request, openapi.AnyOf(requests)), b.Schema(d.Prefix+answer, openapi.AnyOf(answers))
		own, _ := d.way(v.name)
		_, serialized := Examples(d.Model.Model) // only the graph knows their features
		switch {
		case own == nil || d.PictureAlone || !d.Short():
		case v.name == bundle.Predict:
			v.sent = openapi.JSON("instances", []any{d.Bare(d.Row)})
		case !serialized:
			v.sent = openapi.JSON("examples", []any{d.ByName(d.featureValue)})
		}
		verbs = append(verbs, v)
	}
	return verbs
}

// way returns the request and the answer of a verb for this signature, or nil if the signature does not
// support it.
func (d model) way(verb string) (request, answer *openapi.Schema) {
	if Answers(d.Model.Model, verb) != nil {
		return nil, nil
	}
	switch {
	case verb == bundle.Predict:
		return &openapi.Schema{OneOf: []*openapi.Schema{
			d.signed(verb, openapi.Property("instances", d.instances())).With(openapi.Property("inputs", openapi.Never())),
			d.signed(verb, openapi.Property("inputs", d.columns())).With(openapi.Property("instances", openapi.Never())),
		}}, d.predicted()
	case verb == bundle.Classify && d.Classifier():
		n := int64(len(d.Manifest().Labels))
		answer = openapi.List(openapi.List(pair(d.Label, openapi.Given(d.OutputSpecs[0].DType)), n, n), 1, -1)
	case verb == bundle.Classify:
		answer = openapi.List(openapi.List(pair(openapi.Text(), openapi.Given(tensor.Float32)), 0, -1), 1, -1)
	case len(d.OutputSpecs[0].Shape) == 1 || len(d.OutputSpecs[0].Shape) == 2 && d.OutputSpecs[0].Shape[1] == 1:
		answer = openapi.List(openapi.Given(d.OutputSpecs[0].DType), 1, -1)
	default:
		return nil, nil
	}
	return d.examplesRequest(verb), openapi.Object(openapi.Property("results", answer)).Closed()
}

// pair describes a label with its score.
func pair(label, score *openapi.Schema) *openapi.Schema {
	two := int64(2)
	return &openapi.Schema{Type: "array", PrefixItems: []*openapi.Schema{label, score}, Items: openapi.Never(), MinItems: &two}
}

// predicted describes the answer of predict.
func (d model) predicted() *openapi.Schema {
	outs := d.OutputSpecs
	if d.Classifier() {
		outs = outs[:1]
	}
	of := func(o tensor.Spec, least int) *openapi.Schema {
		var ways []*openapi.Schema
		for _, shape := range withoutOnes(o.Shape[1-least:], least) {
			if o.DType == tensor.String && strings.HasSuffix(o.Name, "_bytes") {
				ways = append(ways, openapi.Nested(openapi.InBase64(), shape))
			} else {
				ways = append(ways, openapi.Nested(openapi.Given(o.DType), shape))
			}
		}
		return openapi.AnyOf(ways)
	}
	var rows, columns []openapi.Field[*openapi.Schema]
	for _, o := range outs {
		rows, columns = append(rows, openapi.Property(o.Name, of(o, 0))), append(columns, openapi.Property(o.Name, of(o, 1)))
	}
	predictions, outputs := openapi.List(openapi.Object(rows...).Closed(), 0, -1), openapi.Object(columns...).Closed()
	if len(outs) == 1 {
		predictions, outputs = openapi.List(rows[0].Value, 0, -1), columns[0].Value
	}
	// Its answers have no list around them either.
	if slices.ContainsFunc(d.Sets(), func(set []tensor.Spec) bool { return d.bare(set) != nil }) {
		one := openapi.Object(rows...).Closed()
		if len(outs) == 1 {
			one = rows[0].Value
		}
		outputs = openapi.AnyOf([]*openapi.Schema{outputs, one})
	}
	return &openapi.Schema{OneOf: []*openapi.Schema{
		openapi.Object(openapi.Property("predictions", openapi.About(predictions, "The answers to instances."))).Closed(),
		openapi.Object(openapi.Property("outputs", openapi.About(outputs, "The answers to inputs."))).Closed(),
	}}
}

// tfStatus describes the answer to a request for a model's status.
func (b builder) tfStatus() *openapi.Schema {
	return openapi.Once(b.Memo, "tfserving status", func() *openapi.Schema {
		return b.Schema("ModelStatus", openapi.Object(openapi.Property("model_version_status", openapi.List(openapi.Object(
			openapi.Property("version", openapi.Text()),
			openapi.Property("state", openapi.OneOfStrings([]string{"START", "LOADING", "AVAILABLE", "UNLOADING", "END"})),
			openapi.Property("status", openapi.Object(openapi.Property("error_code", openapi.Text()), openapi.Property("error_message", openapi.Text())).Closed()),
		).Closed(), 0, -1)), openapi.Property("ready", openapi.About(openapi.Boolean(), "As in KServe's V1 protocol."))).Closed())
	})
}

// signature describes the answer to a request for a model's metadata.
func (d model) signature(b builder) *openapi.Schema {
	tensors := func(specs []tensor.Spec) *openapi.Schema {
		s := openapi.Object().Closed()
		for _, spec := range specs {
			var dims []any
			for _, size := range spec.Shape {
				dims = append(dims, openapi.JSON("size", fmt.Sprint(size), "name", ""))
			}
			s = s.With(openapi.Property(spec.Name, openapi.Constant(openapi.JSON(
				"name", spec.Name,
				"dtype", TypeName(spec.DType),
				"tensor_shape", openapi.JSON("dim", dims, "unknown_rank", false),
			))))
			s.Required = append(s.Required, spec.Name)
		}
		return s
	}
	described := func(d *openapi.Model) *openapi.Schema {
		inputs, outputs := d.Sets()[0], d.OutputSpecs
		if d.PictureAlone {
			inputs = []tensor.Spec{openapi.PictureSpec}
		}
		if d.Classifier() {
			outputs = outputs[:1]
		}
		return openapi.Object(
			openapi.Property("inputs", tensors(inputs)), openapi.Property("outputs", tensors(outputs)),
			openapi.Property("method_name", openapi.Constant(MethodOf(d.Model))),
		).Closed()
	}
	var signatures []openapi.Field[*openapi.Schema]
	all := Signatures(d.Model.Model)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		of := d.Model
		if all[name] != of.Model {
			of = b.Signed(of, all[name])
		}
		signatures = append(signatures, openapi.Property(name, described(of)))
	}
	within := func(name string, s *openapi.Schema) *openapi.Schema {
		return openapi.Object(openapi.Property(name, s)).Closed()
	}
	return b.Schema(d.Prefix+"SignatureMetadata", openapi.Object(
		openapi.Property("model_spec", openapi.Object(
			openapi.Property("name", openapi.Constant(d.Name)), openapi.Property("signature_name", openapi.Text()), openapi.Property("version", openapi.Constant(d.Version)),
		).Closed()),
		openapi.Property("metadata", within("signature_def", within("signature_def", openapi.Object(signatures...).Closed()))),
	).Closed())
}
