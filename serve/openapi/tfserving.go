package openapi

// TensorFlow Serving's REST API.

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/tfserving"
)

// tfserving adds a model's paths; kind and name are "", or "versions" or "labels" and which.
func (b *builder) tfserving(d *model, kind, name string) {
	path, id := "/v1/models/"+url.PathEscape(d.Name), d.id+"_tf"
	if kind != "" {
		path, id = path+"/"+kind+"/"+url.PathEscape(name), id+"_"+kind[:1]+"_"+name
	}
	again := d.again && kind != ""
	get := func(what, at, sum string, s *Schema) {
		b.add(http.MethodGet, path+at, &Operation{
			ID: id + "_" + what, Tags: []string{d.tag}, Summary: sum, again: again,
			Responses: answers(inBody(sum+".", media(jsonType, s)), 404),
			Samples:   []Sample{b.curl(sum, path+at, "")},
		})
	}
	for _, v := range d.verbs(b) {
		at, body := path+":"+v.name, media(jsonType, v.request)
		var samples []Sample
		if d.picture {
			samples = append(samples, b.piped("A picture", at, v.piped))
		}
		if v.sent != nil {
			if d.encoded == nil {
				body.Value.Examples = Ordered[*Example]{example("row", "One row", v.sent)}
			}
			samples = append(samples, b.post(d, "One row", at, v.sent))
		}
		b.add(http.MethodPost, at, &Operation{
			ID: id + "_" + v.name, Tags: []string{d.tag}, Summary: v.summary, again: again, Samples: samples,
			Parameters: []Parameter{deadline()},
			Body:       &Body{Required: true, Content: Ordered[*Media]{body}},
			Responses:  answers(inBody("The answer; numbers that are not finite are the bare words NaN, Infinity and -Infinity.", media(jsonType, v.answer)), predictions...),
		})
	}
	get("status", "", "The states of its versions", b.tfStatus())
	get("metadata", "/metadata", "The signature's names, types and shapes", d.signature(b))
}

// verb is one of predict, classify and regress, as a model has it.
type verb struct {
	name, summary   string
	request, answer *Schema
	sent            any    // an example; nil where rows are too long
	piped           string // an example with %s for a picture in base64
}

// verbs are made once for all paths of a version.
func (d *model) verbs(b *builder) []verb {
	if d.tfVerbs != nil {
		return d.tfVerbs
	}
	v := verb{name: "predict", summary: "Predict: rows for rows, or columns for columns"}
	v.request = b.schema(d.prefix+"PredictRequest", &Schema{OneOf: []*Schema{
		d.signed("predict", property("instances", d.instances())).with(property("inputs", never())),
		d.signed("predict", property("inputs", d.columns())).with(property("instances", never())),
	}})
	v.answer = b.schema(d.prefix+"PredictResponse", d.predicted())
	v.piped = `{"instances":[{"b64":"%s"}]}`
	if !d.picture && d.short() {
		v.sent = Ordered[any]{{"instances", []any{d.bare(d.row)}}}
	}
	d.tfVerbs = append(d.tfVerbs, v)
	values := len(d.outputs[0].Shape) == 1 || len(d.outputs[0].Shape) == 2 && d.outputs[0].Shape[1] == 1
	var results *Schema
	switch {
	case d.Classifier():
		v.name, v.summary = "classify", "Classify: every label with its score, in the model's order"
		n := int64(len(d.Manifest().Labels))
		two := int64(2)
		pair := &Schema{Type: "array", PrefixItems: []*Schema{d.label, given(d.outputs[0].DType)}, Items: never(), MinItems: &two}
		results = list(list(pair, n, n), 1, -1)
	case d.Manifest().Task == bundle.Regression && values:
		v.name, v.summary = "regress", "Regress: one number for each example"
		results = list(given(d.outputs[0].DType), 1, -1)
	default:
		return d.tfVerbs
	}
	v.request = b.schema(d.prefix+"ExamplesRequest", d.examplesRequest(v.name))
	v.answer = b.schema(d.prefix+"Results", object(property("results", results)).closed())
	v.piped = `{"examples":[{"b64":"%s"}]}`
	if v.sent != nil {
		v.sent = Ordered[any]{{"examples", []any{d.byName(d.featureValue)}}}
	}
	d.tfVerbs = append(d.tfVerbs, v)
	return d.tfVerbs
}

// signed is a request's body, which may name the signature. Other fields are passed over.
func (d *model) signed(verb string, p Field[*Schema]) *Schema {
	return object(p).with(property("signature_name", oneOfTexts(append(tfserving.Signatures(d.Model), tfserving.Method(verb), ""))))
}

// inBase64 is how the protocol writes bytes.
func inBase64() *Schema {
	t := text()
	t.ContentEncoding = "base64"
	return object(property("b64", t)).closed()
}

// tfElement is one element; bytes are text, or in base64.
func (d *model) tfElement(t tensor.DType) *Schema {
	if t == tensor.String {
		return &Schema{AnyOf: []*Schema{d.element(t), inBase64()}}
	}
	return d.element(t)
}

// taken are lists nested by a shape, which sizes of 1 at its end may be left out of, down to least
// dimensions.
func (d *model) taken(t tensor.DType, shape []int64, least int) *Schema {
	var ways []*Schema
	for _, s := range withoutOnes(shape, least) {
		ways = append(ways, full(d.tfElement(t), s))
	}
	return anyOf(ways)
}

// withoutOnes are a shape and what is left of it without sizes of 1 at its end.
func withoutOnes(shape []int64, least int) [][]int64 {
	all := [][]int64{shape}
	for len(shape) > least && shape[len(shape)-1] == 1 {
		shape = shape[:len(shape)-1]
		all = append(all, shape)
	}
	return all
}

// instances are rows: values of the only input, or objects that name values.
func (d *model) instances() *Schema {
	var ways []*Schema
	if d.picture {
		for _, one := range []*Schema{
			inBase64(), object(property(tfserving.Picture, inBase64())).closed(),
			object(property(tfserving.Picture, list(inBase64(), 1, 1))).closed(),
		} {
			ways = append(ways, list(one, 1, int64(d.MaxPictures)))
		}
	}
	for _, set := range d.sets() {
		var named []Field[*Schema]
		most := int64(-1)
		for _, s := range set {
			switch {
			case d.isPicture(s):
				named, most = append(named, property(s.Name, inBase64())), int64(d.MaxPictures)
			case inJSON(s.DType):
				named = append(named, property(s.Name, d.taken(s.DType, s.Shape[1:], 0)))
			}
		}
		if len(named) < len(set) {
			continue
		}
		if len(set) == 1 {
			ways = append(ways, list(d.taken(set[0].DType, set[0].Shape[1:], 0), 1, -1))
		}
		ways = append(ways, list(object(named...).closed(), 1, most))
	}
	return anyOf(ways)
}

// featureValue is an example of one feature.
func (d *model) featureValue(s tensor.Spec) any {
	if d.isPicture(s) {
		return d.row(s)
	}
	return d.flat(s)
}

// columns are whole inputs: the only one's, or an object that names them.
func (d *model) columns() *Schema {
	var ways []*Schema
	if d.picture {
		n := int64(d.MaxPictures)
		ways = append(ways, list(inBase64(), 1, n), object(property(tfserving.Picture,
			&Schema{AnyOf: []*Schema{list(inBase64(), 0, n), list(list(inBase64(), 1, 1), 1, n)}})).closed())
	}
	for _, set := range d.sets() {
		var named []Field[*Schema]
		for _, s := range set {
			switch {
			case d.isPicture(s):
				named = append(named, property(s.Name, list(inBase64(), 1, int64(d.MaxPictures))))
			case inJSON(s.DType):
				named = append(named, property(s.Name, d.taken(s.DType, s.Shape, 1)))
			}
		}
		if len(named) < len(set) {
			continue
		}
		if len(set) == 1 {
			ways = append(ways, named[0].Value)
		}
		ways = append(ways, object(named...).closed())
	}
	return anyOf(ways)
}

// mostSplit is how many inputs at most are told apart by where they stand: the ways double with each.
const mostSplit = 3

// examplesRequest is the body of classify and regress: features in each example or, where all
// share them, in the context.
func (d *model) examplesRequest(verb string) *Schema {
	var ways []*Schema
	for _, set := range d.featureSets() {
		if len(set) > mostSplit {
			some := (&Schema{Type: "object"}).with(set...).closed()
			return d.signed(verb, property("examples", list(some, 1, -1))).with(property("context", some))
		}
		for shared := range 1 << len(set) { // a bit for each feature
			example, context := (&Schema{Type: "object"}).with(set...).closed(), (&Schema{Type: "object"}).with(set...).closed()
			for i, f := range set {
				if shared&(1<<i) != 0 {
					context.Required = append(context.Required, f.Name)
				} else {
					example.Required = append(example.Required, f.Name)
				}
			}
			way := d.signed(verb, property("examples", list(example, 1, -1))).with(property("context", context))
			if shared != 0 {
				way.Required = append(way.Required, "context")
			}
			ways = append(ways, way)
		}
	}
	return anyOf(ways)
}

// featureSets are the ways to name all that an example holds.
func (d *model) featureSets() [][]Field[*Schema] {
	if d.picture { // its only input has several names
		sets := [][]Field[*Schema]{{property("b64", inBase64().Properties[0].Value)}, {property(tfserving.Picture, inBase64())}}
		if f, ok := d.feature(d.inputs[0]); ok && d.inputs[0].Name != tfserving.Picture {
			sets = append(sets, []Field[*Schema]{f})
		}
		return sets
	}
	var sets [][]Field[*Schema]
	for _, set := range d.sets() {
		var features []Field[*Schema]
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

// feature is what an example may give for an input, where JSON can say it.
func (d *model) feature(in tensor.Spec) (Field[*Schema], bool) {
	if d.isPicture(in) {
		return property(in.Name, inBase64()), true
	}
	if !inJSON(in.DType) {
		return Field[*Schema]{}, false
	}
	e := d.tfElement(in.DType)
	ways := []*Schema{full(e, in.Shape[1:])}
	if n, err := tensor.Count(in.Shape[1:]); err == nil && len(in.Shape) != 2 {
		ways = append(ways, list(e, n, n))
	}
	if n, err := tensor.Count(in.Shape[1:]); err == nil && n == 1 && len(in.Shape) != 1 {
		ways = append(ways, e)
	}
	return property(in.Name, anyOf(ways)), true
}

func anyOf(ways []*Schema) *Schema {
	switch len(ways) {
	case 0:
		return never() // the model's inputs cannot be written in JSON
	case 1:
		return ways[0]
	}
	return &Schema{AnyOf: ways}
}

// predicted is the answer to predict.
func (d *model) predicted() *Schema {
	outs := d.outputs
	if d.Classifier() {
		outs = outs[:1]
	}
	of := func(o tensor.Spec, least int) *Schema {
		var ways []*Schema
		for _, shape := range withoutOnes(o.Shape[1-least:], least) {
			if o.DType == tensor.String && strings.HasSuffix(o.Name, "_bytes") {
				ways = append(ways, nested(inBase64(), shape))
			} else {
				ways = append(ways, nested(given(o.DType), shape))
			}
		}
		return anyOf(ways)
	}
	var rows, columns []Field[*Schema]
	for _, o := range outs {
		rows, columns = append(rows, property(o.Name, of(o, 0))), append(columns, property(o.Name, of(o, 1)))
	}
	predictions, outputs := list(object(rows...).closed(), 0, -1), object(columns...).closed()
	if len(outs) == 1 {
		predictions, outputs = list(rows[0].Value, 0, -1), columns[0].Value
	}
	return &Schema{OneOf: []*Schema{
		object(property("predictions", about(predictions, "Of instances."))).closed(),
		object(property("outputs", about(outputs, "Of inputs."))).closed(),
	}}
}

// tfStatus is the answer to a model's status.
func (b *builder) tfStatus() *Schema {
	if b.status == nil {
		b.status = b.schema("ModelStatus", object(property("model_version_status", list(object(
			property("version", text()),
			property("state", oneOfTexts([]string{"START", "LOADING", "AVAILABLE", "UNLOADING", "END"})),
			property("status", object(property("error_code", text()), property("error_message", text())).closed()),
		).closed(), 0, -1)), property("ready", about(boolean(), "As KServe's V1 protocol has it."))).closed())
	}
	return b.status
}

// signature is the answer to a model's metadata.
func (d *model) signature(b *builder) *Schema {
	if d.tfMetadata != nil {
		return d.tfMetadata
	}
	ends := func(specs []tensor.Spec) *Schema {
		s := object().closed()
		for _, spec := range specs {
			var dims []any
			for _, size := range spec.Shape {
				dims = append(dims, Ordered[any]{{"size", fmt.Sprint(size)}, {"name", ""}})
			}
			s = s.with(property(spec.Name, constant(Ordered[any]{
				{"name", spec.Name},
				{"dtype", tfserving.TypeName(spec.DType)},
				{"tensor_shape", Ordered[any]{{"dim", dims}, {"unknown_rank", false}}},
			})))
			s.Required = append(s.Required, spec.Name)
		}
		return s
	}
	inputs, outputs := d.sets()[0], d.outputs
	if d.picture {
		inputs = []tensor.Spec{pictureSpec}
	}
	if d.Classifier() {
		outputs = outputs[:1]
	}
	signature := object(
		property("inputs", ends(inputs)), property("outputs", ends(outputs)), property("method_name", constant("tensorflow/serving/predict")),
	).closed()
	var signatures []Field[*Schema]
	for _, name := range tfserving.Signatures(d.Model) {
		signatures = append(signatures, property(name, signature))
	}
	within := func(name string, s *Schema) *Schema { return object(property(name, s)).closed() }
	d.tfMetadata = b.schema(d.prefix+"SignatureMetadata", object(
		property("model_spec", object(
			property("name", constant(d.Name)), property("signature_name", text()), property("version", constant(d.Version)),
		).closed()),
		property("metadata", within("signature_def", within("signature_def", object(signatures...).closed()))),
	).closed())
	return d.tfMetadata
}
