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
	b.ServerGet("v1_models", "/v1/models", "The models' names", openapi.Answers(openapi.InBody("Those that are known, ready or not.", openapi.Content(openapi.JSONType, names))))
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
			Responses:  openapi.Answers(openapi.InBody("The answer; numbers that are not finite are the bare words NaN, Infinity and -Infinity.", openapi.Content(openapi.JSONType, v.answer)), openapi.Predictions...),
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

// signed describes a request's body. It may name the model's own signature, and must name any other.
// Unknown fields are ignored.
func (d model) signed(verb string, p openapi.Field[*openapi.Schema]) *openapi.Schema {
	if d.Other {
		return openapi.Object(p, openapi.Property("signature_name", openapi.Constant(d.Manifest().Graph.Signature)))
	}
	var names []string
	for name, m := range Signatures(d.Model.Model) {
		if m == d.Model.Model {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return openapi.Object(p).With(openapi.Property("signature_name", openapi.OneOfTexts(append(names, Method(verb), ""))))
}

// tfElement describes one element. Bytes are text or base64.
func (d model) tfElement(t tensor.DType) *openapi.Schema {
	if t == tensor.String {
		return &openapi.Schema{AnyOf: []*openapi.Schema{d.Element(t), openapi.InBase64()}}
	}
	return d.Element(t)
}

// taken describes lists nested by a shape. Trailing sizes of 1 may be omitted, down to least dimensions.
func (d model) taken(t tensor.DType, shape []int64, least int) *openapi.Schema {
	var ways []*openapi.Schema
	for _, s := range withoutOnes(shape, least) {
		ways = append(ways, openapi.Full(d.tfElement(t), s))
	}
	return openapi.AnyOf(ways)
}

// withoutOnes returns a shape and what remains of it without trailing sizes of 1.
func withoutOnes(shape []int64, least int) [][]int64 {
	all := [][]int64{shape}
	for len(shape) > least && shape[len(shape)-1] == 1 {
		shape = shape[:len(shape)-1]
		all = append(all, shape)
	}
	return all
}

// instances describes rows: values of the only input, objects that name values, or lists of a table's values.
func (d model) instances() *openapi.Schema {
	var ways []*openapi.Schema
	if d.PictureAlone {
		for _, one := range []*openapi.Schema{
			openapi.InBase64(), openapi.Object(openapi.Property(Picture, openapi.InBase64())).Closed(),
			openapi.Object(openapi.Property(Picture, openapi.List(openapi.InBase64(), 1, 1))).Closed(),
		} {
			ways = append(ways, openapi.List(one, 1, int64(d.MaxPictures)))
		}
	}
	if cells := d.Cells(); cells != nil {
		ways = append(ways, openapi.List(cells, 1, -1))
	}
	for _, set := range d.Sets() {
		var named []openapi.Field[*openapi.Schema]
		most := int64(-1)
		for _, s := range set {
			switch {
			case d.IsPicture(s):
				named, most = append(named, openapi.Property(s.Name, openapi.InBase64())), int64(d.MaxPictures)
			case openapi.InJSON(s.DType):
				named = append(named, openapi.Property(s.Name, d.taken(s.DType, s.Shape[1:], 0)))
			}
		}
		if len(named) < len(set) {
			continue
		}
		if len(set) == 1 {
			ways = append(ways, openapi.List(d.taken(set[0].DType, set[0].Shape[1:], 0), 1, -1))
		}
		ways = append(ways, openapi.List(openapi.Object(named...).Closed(), 1, most))
	}
	return openapi.AnyOf(ways)
}

// featureValue returns an example of one feature.
func (d model) featureValue(s tensor.Spec) any {
	if d.IsPicture(s) {
		return d.Row(s)
	}
	return d.Flat(s)
}

// columns describes whole inputs: the only one's batch, or an object that names batches.
func (d model) columns() *openapi.Schema {
	var ways []*openapi.Schema
	if d.PictureAlone {
		n := int64(d.MaxPictures)
		ways = append(ways, openapi.List(openapi.InBase64(), 1, n), openapi.Object(openapi.Property(Picture,
			&openapi.Schema{AnyOf: []*openapi.Schema{openapi.List(openapi.InBase64(), 0, n), openapi.List(openapi.List(openapi.InBase64(), 1, 1), 1, n)}})).Closed())
	}
	for _, set := range d.Sets() {
		var named []openapi.Field[*openapi.Schema]
		for _, s := range set {
			switch {
			case d.IsPicture(s):
				named = append(named, openapi.Property(s.Name, openapi.List(openapi.InBase64(), 1, int64(d.MaxPictures))))
			case openapi.InJSON(s.DType):
				named = append(named, openapi.Property(s.Name, d.taken(s.DType, s.Shape, 1)))
			}
		}
		if len(named) < len(set) {
			continue
		}
		if len(set) == 1 {
			ways = append(ways, named[0].Value)
		}
		ways = append(ways, openapi.Object(named...).Closed())
		if bare := d.bare(set); bare != nil {
			if len(set) == 1 {
				ways = append(ways, bare[0].Value)
			}
			ways = append(ways, openapi.Object(bare...).Closed())
		}
	}
	return openapi.AnyOf(ways)
}

// bare describes inputs whose only row may be a single element without a list around it. It returns nil if
// one may not.
func (d model) bare(set []tensor.Spec) (named []openapi.Field[*openapi.Schema]) {
	for _, s := range set {
		if len(s.Shape) != 1 || !openapi.InJSON(s.DType) || d.IsPicture(s) || d.Manifest().Picture != nil && s.Name == Picture {
			return nil
		}
		named = append(named, openapi.Property(s.Name, d.tfElement(s.DType)))
	}
	return named
}

// mostSplit bounds the inputs whose bare and listed forms are described separately, since each doubles the
// number of forms.
const mostSplit = 3

// examplesRequest describes the body of classify and regress: features in each example or, if all share
// them, in the context.
func (d model) examplesRequest(verb string) *openapi.Schema {
	if _, serialized := Examples(d.Model.Model); serialized { // only the graph knows the features
		value := &openapi.Schema{AnyOf: []*openapi.Schema{{Type: "number"}, openapi.Text(), openapi.InBase64()}}
		features := &openapi.Schema{Type: "object", Additional: &openapi.Schema{AnyOf: []*openapi.Schema{value, openapi.List(value, 0, -1)}}}
		return d.signed(verb, openapi.Property("examples", openapi.List(features, 1, -1))).With(openapi.Property("context", features))
	}
	var ways []*openapi.Schema
	for _, set := range d.featureSets() {
		if len(set) > mostSplit {
			some := (&openapi.Schema{Type: "object"}).With(set...).Closed()
			return d.signed(verb, openapi.Property("examples", openapi.List(some, 1, -1))).With(openapi.Property("context", some))
		}
		for shared := range 1 << len(set) { // a bit for each feature
			example, context := (&openapi.Schema{Type: "object"}).With(set...).Closed(), (&openapi.Schema{Type: "object"}).With(set...).Closed()
			for i, f := range set {
				if shared&(1<<i) != 0 {
					context.Required = append(context.Required, f.Name)
				} else {
					example.Required = append(example.Required, f.Name)
				}
			}
			way := d.signed(verb, openapi.Property("examples", openapi.List(example, 1, -1))).With(openapi.Property("context", context))
			if shared != 0 {
				way.Required = append(way.Required, "context")
			}
			ways = append(ways, way)
		}
	}
	return openapi.AnyOf(ways)
}

// featureSets returns the ways to name the contents of an example.
func (d model) featureSets() [][]openapi.Field[*openapi.Schema] {
	if d.PictureAlone { // the only input has several names
		sets := [][]openapi.Field[*openapi.Schema]{{openapi.Property("b64", openapi.InBase64().Properties[0].Value)}, {openapi.Property(Picture, openapi.InBase64())}}
		if f, ok := d.feature(d.InputSpecs[0]); ok && d.InputSpecs[0].Name != Picture {
			sets = append(sets, []openapi.Field[*openapi.Schema]{f})
		}
		return sets
	}
	var sets [][]openapi.Field[*openapi.Schema]
	for _, set := range d.Sets() {
		var features []openapi.Field[*openapi.Schema]
		for _, in := range set {
			if f, ok := d.feature(in); ok {
				features = append(features, f)
			}
		}
		if len(features) == len(set) {
			sets = append(sets, features)
		}
	}
	return sets
}

// feature describes the values of an input in an example, if JSON can express them.
func (d model) feature(in tensor.Spec) (openapi.Field[*openapi.Schema], bool) {
	if d.IsPicture(in) {
		return openapi.Property(in.Name, openapi.InBase64()), true
	}
	if !openapi.InJSON(in.DType) {
		return openapi.Field[*openapi.Schema]{}, false
	}
	e := d.tfElement(in.DType)
	ways := []*openapi.Schema{openapi.Full(e, in.Shape[1:])}
	if n, err := tensor.Count(in.Shape[1:]); err == nil && len(in.Shape) != 2 {
		ways = append(ways, openapi.List(e, n, n))
	}
	if n, err := tensor.Count(in.Shape[1:]); err == nil && n == 1 && len(in.Shape) != 1 {
		ways = append(ways, e)
	}
	return openapi.Property(in.Name, openapi.AnyOf(ways)), true
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
		openapi.Object(openapi.Property("predictions", openapi.About(predictions, "Of instances."))).Closed(),
		openapi.Object(openapi.Property("outputs", openapi.About(outputs, "Of inputs."))).Closed(),
	}}
}

// tfStatus describes the answer to a request for a model's status.
func (b builder) tfStatus() *openapi.Schema {
	return openapi.Once(b.Memo, "tfserving status", func() *openapi.Schema {
		return b.Schema("ModelStatus", openapi.Object(openapi.Property("model_version_status", openapi.List(openapi.Object(
			openapi.Property("version", openapi.Text()),
			openapi.Property("state", openapi.OneOfTexts([]string{"START", "LOADING", "AVAILABLE", "UNLOADING", "END"})),
			openapi.Property("status", openapi.Object(openapi.Property("error_code", openapi.Text()), openapi.Property("error_message", openapi.Text())).Closed()),
		).Closed(), 0, -1)), openapi.Property("ready", openapi.About(openapi.Boolean(), "As KServe's V1 protocol has it."))).Closed())
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
