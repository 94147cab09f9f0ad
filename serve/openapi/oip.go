package openapi

// The Open Inference Protocol v2.

import (
	"math"
	"net/http"
	"net/url"
	"slices"

	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/oip"
)

// oip adds a model's paths; version is "" for that which is served by default.
func (b *builder) oip(d *model, version string) {
	path := "/v2/models/" + url.PathEscape(d.Name)
	id := d.id + "_oip"
	if version != "" {
		path, id = path+"/versions/"+url.PathEscape(version), id+"_v_"+version
	}
	get := func(what, at, sum string, responses Ordered[*Response]) {
		b.add(http.MethodGet, path+at, &Operation{
			ID: id + "_" + what, Tags: []string{d.tag}, Summary: sum, Responses: responses,
			Samples: []Sample{b.curl(sum, path+at, "")}, again: d.again && version != "",
		})
	}
	b.infer(d, id, path+"/infer", d.again && version != "")
	get("metadata", "", "Names, types and shapes", answers(inBody("What the model takes and gives.", media(jsonType, b.oipMetadata(d))), 404))
	get("config", "/config", "What Triton's clients ask first", answers(inBody("The model in the terms of Triton's configuration.", media(jsonType, b.config(d))), 404))
	ready := object(property("name", constant(d.Name)), property("ready", constant(true))).closed()
	get("ready", "/ready", "Whether the model takes requests", answers(inBody("It does.", media(jsonType, ready)), 404, 503))
	get("stats", "/stats", "What the model has answered", answers(inBody("Counts and times.", media(jsonType, b.statistics())), 404))
}

func (b *builder) oipMetadata(d *model) *Schema {
	if d.metadata != nil {
		return d.metadata
	}
	ends := func(specs []tensor.Spec) *Schema {
		s := &Schema{Type: "array", Items: never()}
		for _, spec := range specs {
			s.PrefixItems = append(s.PrefixItems, object(
				property("name", constant(spec.Name)), property("datatype", constant(wire.Datatype(spec.DType))),
				property("shape", about(constant(spec.Shape), "-1 is free.")),
			).closed())
		}
		n := int64(len(specs))
		s.MinItems = &n
		return s
	}
	inputs := slices.Clone(d.sets()[0])
	if d.picture {
		inputs = []tensor.Spec{pictureSpec}
	}
	for i, in := range inputs {
		if d.picture || d.isPicture(in) {
			inputs[i].Shape = []int64{-1, 1}
		}
	}
	labels := constant(d.Manifest().Labels)
	if !d.Classifier() {
		labels = orNull(list(text(), 0, -1))
	}
	parity := object(
		property("mode", oneOfTexts([]string{"full", "quick", "none"})),
		property("cases", count()), property("of", count()),
		property("largest_difference", &Schema{Type: "number"}), property("tolerance", &Schema{Type: "number"}),
		property("differences", about(object(
			property("decode", &Schema{Type: "number"}), property("preprocess", &Schema{Type: "number"}),
			property("model", &Schema{Type: "number"}), property("label", &Schema{Type: "number"}),
		).closed(), "The largest of each stage.")),
		property("top1_agreement", &Schema{Type: "number"}), property("decode_difference", count()),
	).with(property("reason", text()), property("decoder", text())).closed()
	d.metadata = b.schema(d.prefix+"Metadata", object(
		property("name", constant(d.Name)), property("versions", list(text(), 1, -1)),
		property("platform", constant(oip.Platforms[d.Manifest().Engine])),
		property("inputs", ends(inputs)), property("outputs", ends(d.outputs)),
		property("parameters", object(
			property("digest", about(text(), "The SHA-256 of the bundle's manifest: the model's identity.")),
			property("labels", labels), property("parity", about(parity, "What the replay of the golden cases found.")),
		).closed()),
	).closed())
	return d.metadata
}

// config is a model in the terms of Triton's configuration.
func (b *builder) config(d *model) *Schema {
	if d.config != nil {
		return d.config
	}
	input := object(property("name", text()), property("data_type", text()),
		property("format", oneOfTexts([]string{"FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"})),
		property("dims", about(list(&Schema{Type: "integer", Minimum: -1}, 0, -1), "Without the batch; -1 is free."))).closed()
	output := object(property("name", text()), property("data_type", text()),
		property("dims", list(&Schema{Type: "integer", Minimum: -1}, 0, -1))).closed()
	d.config = b.schema(d.prefix+"Config", object(
		property("name", constant(d.Name)), property("platform", text()), property("backend", text()),
		property("max_batch_size", about(count(), "How many rows of waiting requests run together; a request with more runs alone. 0: the shapes have no batch.")),
		property("input", list(input, 1, -1)), property("output", list(output, 1, -1)),
		property("instance_group", list(object(
			property("name", text()), property("kind", constant("KIND_CPU")), property("count", count())).closed(), 1, 1)),
		property("default_model_filename", text()),
		property("parameters", object(property("digest", object(property("string_value", text())).closed())).closed()),
		property("model_transaction_policy", object(property("decoupled", constant(false))).closed()),
	).with(property("dynamic_batching", object(
		property("preferred_batch_size", list(count(), 0, 0)), property("max_queue_delay_microseconds", count()),
	).closed())).closed())
	return d.config
}

func (b *builder) infer(d *model, id, path string, again bool) {
	op := &Operation{
		ID: id + "_infer", Tags: []string{d.tag}, Summary: "Infer: tensors for tensors", again: again,
		Description: "In JSON, or with binary tensors: a JSON head of " + wire.HeaderLength + " bytes, then the tensors that it " +
			"names by `binary_data_size`, little-endian, one after the other. With a length of 0 the whole body is the " +
			"data of the only input, and the answer is binary as well.",
		Parameters: []Parameter{{
			Name: wire.HeaderLength, In: "header",
			Description: "The bytes of JSON with which the body begins. Only with " + binaryType + ".", Schema: count(),
		}, deadline()},
		Body: &Body{Required: true},
	}
	if d.infer == nil {
		d.infer, d.request = b.inferAnswer(d), b.inferRequest(d)
	}
	if d.request != nil {
		body := media(jsonType, d.request)
		if sent, ok := d.inferExample(); ok {
			if d.encoded == nil {
				body.Value.Examples = Ordered[*Example]{example("tensors", "One row", sent)}
			}
			op.Samples = append(op.Samples, b.post(d, "One row", path, sent))
		}
		op.Body.Content = append(op.Body.Content, body)
	}
	op.Body.Content = append(op.Body.Content, media(binaryType, &Schema{ContentMediaType: binaryType}))
	if d.picture {
		sent := `{"inputs":[{"name":"` + oip.Picture + `","datatype":"BYTES","shape":[1],"data":["%s"]}]}`
		op.Samples = append(op.Samples,
			b.piped("A picture in JSON", path, sent),
			b.curl("A picture, answered in binary", path, "-H '"+wire.HeaderLength+": 0' --data-binary @picture.jpg --output answer.bin"))
	}
	answered := inBody("The outputs.", media(jsonType, d.infer), media(binaryType, &Schema{ContentMediaType: binaryType}))
	answered.Headers = Ordered[*Header]{{wire.HeaderLength, &Header{"Of an answer with binary tensors, the bytes of its JSON head.", count()}}}
	op.Responses = answers(answered, predictions...)
	b.add(http.MethodPost, path, op)
}

// inferRequest is a request in JSON; nil where one of the inputs cannot be written in it.
func (b *builder) inferRequest(d *model) *Schema {
	sets := d.sets()
	if d.picture {
		sets = [][]tensor.Spec{{pictureSpec}, d.inputs}
	}
	var lists []*Schema // each names all inputs
	for i, set := range sets {
		var ways []*Schema
		for _, s := range set {
			switch {
			case len(sets) > 1 && i == 0 && s.Name == pictureSpec.Name:
				ways = append(ways, d.inferPictures())
			case inJSON(s.DType):
				ways = append(ways, inferInput(s.Name, s.DType, shapeOf(s), flatOrNested(d.element(s.DType), s.Shape)))
			}
		}
		n := int64(len(set))
		if len(ways) < len(set) {
			continue
		}
		one := list(anyOf(ways), n, n)
		if n > 1 { // each of them once, in any order
			for _, in := range set {
				one.AllOf = append(one.AllOf, &Schema{Contains: (&Schema{}).with(property("name", constant(in.Name)))})
			}
		}
		lists = append(lists, one)
	}
	if lists == nil {
		return nil
	}
	output := d.askedOutputs()
	return b.schema(d.prefix+"InferRequest", object(property("inputs", anyOf(lists))).with(
		property("id", about(orNull(text()), "Comes back in the answer.")),
		property("outputs", about(orNull(list(output, 0, int64(len(d.outputs)))), "Which to give, each once, in this order; all where there is none.")),
		property("parameters", (&Schema{Type: []any{"object", "null"}}).with(
			property("binary_data_output", about(boolean(), "Give the outputs that do not say as binary data.")))),
	))
}

// askedOutputs are the elements of a request's outputs: best classes are for numbers.
func (d *model) askedOutputs() *Schema {
	var numbers, others []string
	for _, o := range d.outputs {
		if isNumber(o.DType) {
			numbers = append(numbers, o.Name)
		} else {
			others = append(others, o.Name)
		}
	}
	output := func(names []string, classification *Schema) *Schema {
		parameters := (&Schema{Type: []any{"object", "null"}, Patterns: unspoken}).with(
			property("binary_data", about(boolean(), "Give this output as binary data.")), property("classification", classification))
		return object(property("name", oneOfTexts(names))).with(property("parameters", parameters))
	}
	var ways []*Schema
	if numbers != nil {
		n := &Schema{Type: "integer", Minimum: 1, Maximum: int64(math.MaxInt64)}
		ways = append(ways, output(numbers, about(n, "Give so many of the largest of each row, as VALUE:INDEX or VALUE:INDEX:LABEL.")))
	}
	if others != nil {
		ways = append(ways, output(others, never()))
	}
	return anyOf(ways)
}

func isNumber(d tensor.DType) bool { return d != tensor.String && d != tensor.Bool }

// inferPictures are encoded pictures, in base64.
func (d *model) inferPictures() *Schema {
	data := about(text(), "A picture in base64: "+d.Manifest().Picture.Accept[0]+" and the like.")
	data.ContentEncoding = "base64"
	n := int64(d.MaxPictures)
	shape := &Schema{AnyOf: []*Schema{shapeOf(tensor.Spec{Shape: []int64{-1}}), shapeOf(tensor.Spec{Shape: []int64{-1, 1}})}}
	pictures := &Schema{AnyOf: []*Schema{list(data, 0, n), list(list(data, 1, 1), 1, n)}}
	return inferInput(pictureSpec.Name, tensor.String, shape, pictures)
}

// unspoken are the parameters of extensions that requests are refused for.
var unspoken = Ordered[*Schema]{property("^shared_memory", never())}

func inferInput(name string, d tensor.DType, shape, data *Schema) *Schema {
	parameters := (&Schema{Type: []any{"object", "null"}, Patterns: unspoken}).with(
		property("binary_data_size", never())) // which is for the head of a body with binary data
	return object(
		property("name", constant(name)), property("datatype", constant(wire.Datatype(d))),
		property("shape", shape), property("data", data),
	).with(property("parameters", parameters))
}

// shapeOf is a shape that fits a spec's.
func shapeOf(s tensor.Spec) *Schema {
	n := int64(len(s.Shape))
	out := &Schema{Type: "array", MinItems: &n, Items: never()}
	for _, d := range s.Shape {
		if d < 0 {
			out.PrefixItems = append(out.PrefixItems, count())
		} else {
			out.PrefixItems = append(out.PrefixItems, constant(d))
		}
	}
	return out
}

func flatOrNested(items *Schema, shape []int64) *Schema {
	all := list(items, 0, -1)
	if len(shape) == 1 {
		return all
	}
	return &Schema{AnyOf: []*Schema{all, full(items, shape)}}
}

func (b *builder) inferAnswer(d *model) *Schema {
	var ways []*Schema
	for _, o := range d.outputs {
		head := []Field[*Schema]{
			property("name", constant(o.Name)), property("datatype", constant(wire.Datatype(o.DType))), property("shape", shapeOf(o)),
		}
		binary := object(append(head, property("parameters", object(property("binary_data_size", count())).closed()))...).closed()
		if inJSON(o.DType) {
			data := property("data", about(list(given(o.DType), 0, -1), "In row-major order."))
			ways = append(ways, object(append(head, data)...).closed())
		}
		ways = append(ways, binary)
		if isNumber(o.DType) { // its best classes
			ways = append(ways, object(
				property("name", constant(o.Name)), property("datatype", constant(wire.Datatype(tensor.String))),
				property("shape", list(count(), 2, 2)), property("data", list(text(), 0, -1)),
			).closed(), object(
				property("name", constant(o.Name)), property("datatype", constant(wire.Datatype(tensor.String))),
				property("shape", list(count(), 2, 2)), property("parameters", object(property("binary_data_size", count())).closed()),
			).closed())
		}
	}
	return b.schema(d.prefix+"InferResponse", object(
		property("model_name", constant(d.Name)), property("model_version", constant(d.Version)),
		property("outputs", list(anyOf(ways), 1, int64(len(d.outputs)))),
	).with(property("id", text())).closed())
}

// inferExample is a request for one row.
func (d *model) inferExample() (any, bool) {
	if d.picture || !d.short() {
		return nil, false
	}
	var inputs []any
	for _, s := range d.examples {
		shape := append([]int64{1}, s.Shape[1:]...)
		inputs = append(inputs, Ordered[any]{
			{"name", s.Name}, {"datatype", wire.Datatype(s.DType)}, {"shape", shape}, {"data", d.flat(s)},
		})
	}
	return Ordered[any]{{"inputs", inputs}}, true
}
