package oip

// The protocol's part of the OpenAPI document.

import (
	"math"
	"net/http"
	"net/url"
	"slices"

	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/openapi"
)

var document = openapi.Protocol{
	Title: "Open Inference Protocol v2", About: "the Open Inference Protocol v2, over gRPC as well",
	Model: func(b *openapi.Builder, d *openapi.Model, at openapi.At) {
		if at.Kind != "labels" {
			builder{b}.model(model{d}, at.Name)
		}
	},
	Server: func(b *openapi.Builder) { builder{b}.server() },
}

type (
	builder struct{ *openapi.Builder }
	model   struct{ *openapi.Model }
)

// model adds a model's paths. version is "" for the default version.
func (b builder) model(d model, version string) {
	path := "/v2/models/" + url.PathEscape(d.Name)
	id := d.ID + "_oip"
	if version != "" {
		path, id = path+"/versions/"+url.PathEscape(version), id+"_v_"+version
	}
	get := func(what, at, sum string, responses openapi.Ordered[*openapi.Response]) {
		b.Add(http.MethodGet, path+at, &openapi.Operation{
			ID: id + "_" + what, Tags: []string{d.Tag}, Summary: sum, Responses: responses,
			Samples: []openapi.Sample{b.Curl(sum, path+at, "")}, Again: d.Again && version != "",
		})
	}
	b.infer(d, id, path+"/infer", d.Again && version != "")
	get("metadata", "", "Names, types and shapes", openapi.Answers(openapi.InBody("The model's inputs and outputs.", openapi.Content(openapi.JSONType, openapi.Once(d.Memo, "oip metadata", func() *openapi.Schema { return b.metadata(d) }))), 404))
	get("config", "/config", "The configuration that Triton's clients request first", openapi.Answers(openapi.InBody("The model as Triton's configuration describes it.", openapi.Content(openapi.JSONType, openapi.Once(d.Memo, "oip config", func() *openapi.Schema { return b.config(d) }))), 404))
	ready := openapi.Object(openapi.Property("name", openapi.Constant(d.Name)), openapi.Property("ready", openapi.Constant(true))).Closed()
	get("ready", "/ready", "Whether the model takes requests", openapi.Answers(openapi.InBody("It does.", openapi.Content(openapi.JSONType, ready)), 404, 503))
	get("stats", "/stats", "Statistics of the model", openapi.Answers(openapi.InBody("Counts and times.", openapi.Content(openapi.JSONType, b.statistics())), 404))
}

func (b builder) metadata(d model) *openapi.Schema {
	tensors := func(specs []tensor.Spec) *openapi.Schema {
		s := &openapi.Schema{Type: "array", Items: openapi.Never()}
		for _, spec := range specs {
			s.PrefixItems = append(s.PrefixItems, openapi.Object(
				openapi.Property("name", openapi.Constant(spec.Name)), openapi.Property("datatype", openapi.Constant(wire.Datatype(spec.DType))),
				openapi.Property("shape", openapi.About(openapi.Constant(spec.Shape), "-1 is free.")),
			).Closed())
		}
		n := int64(len(specs))
		s.MinItems = &n
		return s
	}
	inputs := slices.Clone(d.Sets()[0])
	if d.PictureAlone {
		inputs = []tensor.Spec{openapi.PictureSpec}
	}
	for i, in := range inputs {
		if d.PictureAlone || d.IsPicture(in) {
			inputs[i].Shape = []int64{-1, 1}
		}
	}
	labels := openapi.Constant(d.Manifest().Labels)
	if !d.Classifier() {
		labels = openapi.OrNull(openapi.List(openapi.Text(), 0, -1))
	}
	parity := openapi.Object(
		openapi.Property("mode", openapi.OneOfStrings([]string{"full", "quick", "none"})),
		openapi.Property("cases", openapi.Count()), openapi.Property("of", openapi.Count()),
		openapi.Property("largest_difference", &openapi.Schema{Type: "number"}), openapi.Property("tolerance", &openapi.Schema{Type: "number"}),
		openapi.Property("differences", openapi.About(openapi.Object(
			openapi.Property("decode", &openapi.Schema{Type: "number"}), openapi.Property("preprocess", &openapi.Schema{Type: "number"}),
			openapi.Property("model", &openapi.Schema{Type: "number"}), openapi.Property("label", &openapi.Schema{Type: "number"}),
		).Closed(), "The largest difference at each stage.")),
		openapi.Property("top1_agreement", &openapi.Schema{Type: "number"}), openapi.Property("decode_difference", openapi.Count()),
	).With(openapi.Property("reason", openapi.Text()), openapi.Property("decoder", openapi.Text()), openapi.Property("expected_from", openapi.About(openapi.Text(),
		"converted graph: the golden cases hold the graph's own answers, not the training framework's."))).Closed()
	return b.Schema(d.Prefix+"Metadata", openapi.Object(
		openapi.Property("name", openapi.Constant(d.Name)), openapi.Property("versions", openapi.List(openapi.Text(), 1, -1)),
		openapi.Property("platform", openapi.Constant(d.Engine().Info.Format.Platform)),
		openapi.Property("inputs", tensors(inputs)), openapi.Property("outputs", tensors(d.OutputSpecs)),
		openapi.Property("parameters", openapi.Object(
			openapi.Property("digest", openapi.About(openapi.Text(), "The SHA-256 of the bundle's manifest: the model's identity.")),
			openapi.Property("labels", labels), openapi.Property("parity", openapi.About(parity, "The result of the replay of the golden cases.")),
			openapi.Property("engine", openapi.About(openapi.Text(), "The engine that runs the model's graph in this process.")),
		).With(pictureOf(d)...).With(columnsOf(d)...).Closed()),
	).Closed())
}

// pictureOf describes the metadata about a model's pictures.
func pictureOf(d model) []openapi.Field[*openapi.Schema] {
	if d.Manifest().Picture == nil {
		return nil
	}
	rules := openapi.Object(openapi.Property("resize", openapi.Text()), openapi.Property("fit", openapi.Text())).
		With(openapi.Property("shorter_side", openapi.Count()), openapi.Property("pad_colour", openapi.List(openapi.Count(), 3, 3))).Closed()
	media := openapi.List(openapi.Text(), 0, -1)
	return []openapi.Field[*openapi.Schema]{openapi.Property("picture", openapi.Object(openapi.Property("accept", media)).With(
		openapi.Property("formats", openapi.About(media, "The media types of the training pictures. Others are accepted and decode exactly, too.")),
		openapi.Property("alpha", openapi.About(openapi.Text(), "How transparent pixels are treated. Without it they are refused.")),
		openapi.Property("rules", openapi.About(rules, "How pictures are resized to the model's input.")),
	).Closed())}
}

// columnsOf describes the metadata about a table's columns.
func columnsOf(d model) []openapi.Field[*openapi.Schema] {
	if len(d.Manifest().Columns) == 0 {
		return nil
	}
	column := openapi.Object(
		openapi.Property("name", openapi.About(openapi.Text(), "The column's name in the examples' data frame.")),
		openapi.Property("input", openapi.About(openapi.Text(), "The model's input that the column becomes.")),
		openapi.Property("type", openapi.OneOfStrings([]string{"number", "integer", "bool", "text", "category"})),
		openapi.Property("missing", &openapi.Schema{Type: "boolean"}),
	).With(openapi.Property("values", openapi.About(openapi.List(openapi.Text(), 0, -1), "Every value of a category."))).Closed()
	return []openapi.Field[*openapi.Schema]{openapi.Property("columns", openapi.List(column, 1, -1))}
}

// config describes a model in the terms of Triton's configuration.
func (b builder) config(d model) *openapi.Schema {
	input := openapi.Object(openapi.Property("name", openapi.Text()), openapi.Property("data_type", openapi.Text()),
		openapi.Property("format", openapi.OneOfStrings([]string{"FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"})),
		openapi.Property("dims", openapi.About(openapi.List(&openapi.Schema{Type: "integer", Minimum: -1}, 0, -1), "Without the batch; -1 is free."))).Closed()
	output := openapi.Object(openapi.Property("name", openapi.Text()), openapi.Property("data_type", openapi.Text()),
		openapi.Property("dims", openapi.List(&openapi.Schema{Type: "integer", Minimum: -1}, 0, -1))).Closed()
	return b.Schema(d.Prefix+"Config", openapi.Object(
		openapi.Property("name", openapi.Constant(d.Name)), openapi.Property("platform", openapi.Text()), openapi.Property("backend", openapi.Text()),
		openapi.Property("max_batch_size", openapi.About(openapi.Count(), "How many rows of waiting requests run together; a request with more runs by itself, in parts. 0: the shapes have no batch.")),
		openapi.Property("input", openapi.List(input, 1, -1)), openapi.Property("output", openapi.List(output, 1, -1)),
		openapi.Property("instance_group", openapi.List(openapi.Object(
			openapi.Property("name", openapi.Text()), openapi.Property("kind", openapi.Constant("KIND_CPU")), openapi.Property("count", openapi.Count())).Closed(), 1, 1)),
		openapi.Property("default_model_filename", openapi.Text()),
		openapi.Property("parameters", openapi.Object(openapi.Property("digest", openapi.Object(openapi.Property("string_value", openapi.Text())).Closed())).Closed()),
		openapi.Property("model_transaction_policy", openapi.Object(openapi.Property("decoupled", openapi.Constant(false))).Closed()),
	).With(openapi.Property("dynamic_batching", openapi.Object(
		openapi.Property("preferred_batch_size", openapi.List(openapi.Count(), 0, 0)), openapi.Property("max_queue_delay_microseconds", openapi.Count()),
	).Closed())).Closed())
}

func (b builder) infer(d model, id, path string, again bool) {
	op := &openapi.Operation{
		ID: id + "_infer", Tags: []string{d.Tag}, Summary: "Infer: tensors in, tensors out", Again: again,
		Description: "In JSON, or with binary tensors: a JSON header of " + wire.HeaderLength + " bytes, then the tensors to " +
			"which it gives a `binary_data_size`, little-endian, one after the other. With a length of 0 the whole body " +
			"is the data of the only input, and the answer is binary as well.",
		Parameters: []openapi.Parameter{{
			Name: wire.HeaderLength, In: "header",
			Description: "The length in bytes of the JSON at the start of the body. Only with " + openapi.BinaryType + ".", Schema: openapi.Count(),
		}, openapi.Deadline()},
		Body: &openapi.Body{Required: true},
	}
	answer := openapi.Once(d.Memo, "oip answer", func() *openapi.Schema { return b.inferAnswer(d) })
	if request := openapi.Once(d.Memo, "oip request", func() *openapi.Schema { return b.inferRequest(d) }); request != nil {
		body := openapi.Content(openapi.JSONType, request)
		if sent, ok := d.inferExample(); ok {
			if d.Encoded == nil {
				body.Value.Examples = openapi.Ordered[*openapi.Example]{openapi.NewExample("tensors", "One row", sent)}
			}
			op.Samples = append(op.Samples, b.Post(d.Model, "One row", path, sent))
		}
		op.Body.Content = append(op.Body.Content, body)
	}
	op.Body.Content = append(op.Body.Content, openapi.Content(openapi.BinaryType, &openapi.Schema{ContentMediaType: openapi.BinaryType}))
	if d.PictureAlone {
		sent := `{"inputs":[{"name":"` + Picture + `","datatype":"BYTES","shape":[1],"data":["%s"]}]}`
		op.Samples = append(op.Samples,
			b.Piped("A picture in JSON", path, sent),
			b.Curl("A picture, answered in binary", path, "-H '"+wire.HeaderLength+": 0' --data-binary @picture.jpg --output answer.bin"))
	}
	answered := openapi.InBody("The outputs.", openapi.Content(openapi.JSONType, answer), openapi.Content(openapi.BinaryType, &openapi.Schema{ContentMediaType: openapi.BinaryType}))
	answered.Headers = openapi.Ordered[*openapi.Header]{openapi.NewField(wire.HeaderLength, &openapi.Header{
		Description: "The length in bytes of the JSON header of an answer with binary tensors.", Schema: openapi.Count(),
	})}
	op.Responses = openapi.Answers(answered, openapi.Predictions...)
	b.Add(http.MethodPost, path, op)
}

// inferRequest describes a request in JSON. It returns nil if JSON cannot express one of the inputs.
func (b builder) inferRequest(d model) *openapi.Schema {
	sets := d.Sets()
	if d.PictureAlone {
		sets = [][]tensor.Spec{{openapi.PictureSpec}, d.InputSpecs}
	}
	var lists []*openapi.Schema // each names all inputs
	for i, set := range sets {
		var ways []*openapi.Schema
		for _, s := range set {
			switch {
			case len(sets) > 1 && i == 0 && s.Name == openapi.PictureSpec.Name:
				ways = append(ways, d.inferPictures())
			case openapi.InJSON(s.DType):
				ways = append(ways, inferInput(s.Name, s.DType, shapeOf(s), flatOrNested(d.Element(s.DType), s.Shape)))
			}
		}
		n := int64(len(set))
		if len(ways) < len(set) {
			continue
		}
		one := openapi.List(openapi.AnyOf(ways), n, n)
		if n > 1 { // each of them once, in any order
			for _, in := range set {
				one.AllOf = append(one.AllOf, &openapi.Schema{Contains: (&openapi.Schema{}).With(openapi.Property("name", openapi.Constant(in.Name)))})
			}
		}
		lists = append(lists, one)
	}
	if lists == nil {
		return nil
	}
	output := d.askedOutputs()
	return b.Schema(d.Prefix+"InferRequest", openapi.Object(openapi.Property("inputs", openapi.AnyOf(lists))).With(
		openapi.Property("id", openapi.About(openapi.OrNull(openapi.Text()), "The answer repeats it.")),
		openapi.Property("outputs", openapi.About(openapi.OrNull(openapi.List(output, 0, int64(len(d.OutputSpecs)))), "The outputs to return, each once, in this order. Default: all.")),
		openapi.Property("parameters", (&openapi.Schema{Type: []any{"object", "null"}}).With(
			openapi.Property("binary_data_output", openapi.About(openapi.Boolean(), "Return outputs without a binary_data parameter of their own as binary data.")))),
	))
}

// askedOutputs describes the outputs of a request. Only numbers have best classes.
func (d model) askedOutputs() *openapi.Schema {
	var numbers, others []string
	for _, o := range d.OutputSpecs {
		if isNumber(o.DType) {
			numbers = append(numbers, o.Name)
		} else {
			others = append(others, o.Name)
		}
	}
	output := func(names []string, classification *openapi.Schema) *openapi.Schema {
		parameters := (&openapi.Schema{Type: []any{"object", "null"}, Patterns: unspoken}).With(
			openapi.Property("binary_data", openapi.About(openapi.Boolean(), "Return this output as binary data.")), openapi.Property("classification", classification))
		return openapi.Object(openapi.Property("name", openapi.OneOfStrings(names))).With(openapi.Property("parameters", parameters))
	}
	var ways []*openapi.Schema
	if numbers != nil {
		n := &openapi.Schema{Type: "integer", Minimum: 1, Maximum: int64(math.MaxInt64)}
		ways = append(ways, output(numbers, openapi.About(n, "Return that many of the largest values of each row, as VALUE:INDEX or VALUE:INDEX:LABEL.")))
	}
	if others != nil {
		ways = append(ways, output(others, openapi.Never()))
	}
	return openapi.AnyOf(ways)
}

func isNumber(d tensor.DType) bool { return d != tensor.String && d != tensor.Bool }

// inferPictures describes encoded pictures in base64.
func (d model) inferPictures() *openapi.Schema {
	data := openapi.About(openapi.Text(), "A picture in base64: "+d.Manifest().Picture.Accept[0]+" and the like.")
	data.ContentEncoding = "base64"
	n := int64(d.MaxPictures)
	shape := &openapi.Schema{AnyOf: []*openapi.Schema{shapeOf(tensor.Spec{Shape: []int64{-1}}), shapeOf(tensor.Spec{Shape: []int64{-1, 1}})}}
	pictures := &openapi.Schema{AnyOf: []*openapi.Schema{openapi.List(data, 0, n), openapi.List(openapi.List(data, 1, 1), 1, n)}}
	return inferInput(openapi.PictureSpec.Name, tensor.String, shape, pictures)
}

// unspoken lists parameters of extensions that the server refuses.
var unspoken = openapi.Ordered[*openapi.Schema]{openapi.Property("^shared_memory", openapi.Never())}

func inferInput(name string, d tensor.DType, shape, data *openapi.Schema) *openapi.Schema {
	parameters := (&openapi.Schema{Type: []any{"object", "null"}, Patterns: unspoken}).With(
		// It belongs in the head of a body with binary data.
		openapi.Property("binary_data_size", openapi.Never()))
	return openapi.Object(
		openapi.Property("name", openapi.Constant(name)), openapi.Property("datatype", openapi.Constant(wire.Datatype(d))),
		openapi.Property("shape", shape), openapi.Property("data", data),
	).With(openapi.Property("parameters", parameters))
}

// shapeOf describes the shapes that fit a spec.
func shapeOf(s tensor.Spec) *openapi.Schema {
	n := int64(len(s.Shape))
	out := &openapi.Schema{Type: "array", MinItems: &n, Items: openapi.Never()}
	for _, d := range s.Shape {
		if d < 0 {
			out.PrefixItems = append(out.PrefixItems, openapi.Count())
		} else {
			out.PrefixItems = append(out.PrefixItems, openapi.Constant(d))
		}
	}
	return out
}

func flatOrNested(items *openapi.Schema, shape []int64) *openapi.Schema {
	all := openapi.List(items, 0, -1)
	if len(shape) == 1 {
		return all
	}
	return &openapi.Schema{AnyOf: []*openapi.Schema{all, openapi.Full(items, shape)}}
}

func (b builder) inferAnswer(d model) *openapi.Schema {
	var ways []*openapi.Schema
	for _, o := range d.OutputSpecs {
		head := []openapi.Field[*openapi.Schema]{
			openapi.Property("name", openapi.Constant(o.Name)), openapi.Property("datatype", openapi.Constant(wire.Datatype(o.DType))), openapi.Property("shape", shapeOf(o)),
		}
		binary := openapi.Object(append(head, openapi.Property("parameters", openapi.Object(openapi.Property("binary_data_size", openapi.Count())).Closed()))...).Closed()
		if openapi.InJSON(o.DType) {
			data := openapi.Property("data", openapi.About(openapi.List(openapi.Given(o.DType), 0, -1), "In row-major order."))
			ways = append(ways, openapi.Object(append(head, data)...).Closed())
		}
		ways = append(ways, binary)
		if isNumber(o.DType) { // its best classes
			ways = append(ways, openapi.Object(
				openapi.Property("name", openapi.Constant(o.Name)), openapi.Property("datatype", openapi.Constant(wire.Datatype(tensor.String))),
				openapi.Property("shape", openapi.List(openapi.Count(), 2, 2)), openapi.Property("data", openapi.List(openapi.Text(), 0, -1)),
			).Closed(), openapi.Object(
				openapi.Property("name", openapi.Constant(o.Name)), openapi.Property("datatype", openapi.Constant(wire.Datatype(tensor.String))),
				openapi.Property("shape", openapi.List(openapi.Count(), 2, 2)), openapi.Property("parameters", openapi.Object(openapi.Property("binary_data_size", openapi.Count())).Closed()),
			).Closed())
		}
	}
	return b.Schema(d.Prefix+"InferResponse", openapi.Object(
		openapi.Property("model_name", openapi.Constant(d.Name)), openapi.Property("model_version", openapi.Constant(d.Version)),
		openapi.Property("outputs", openapi.List(openapi.AnyOf(ways), 1, int64(len(d.OutputSpecs)))),
	).With(openapi.Property("id", openapi.Text())).Closed())
}

// inferExample returns a request for one row.
func (d model) inferExample() (any, bool) {
	if d.PictureAlone || !d.Short() {
		return nil, false
	}
	var inputs []any
	for _, s := range d.Examples {
		shape := append([]int64{1}, s.Shape[1:]...)
		inputs = append(inputs, openapi.JSON("name", s.Name, "datatype", wire.Datatype(s.DType), "shape", shape, "data", d.Flat(s)))
	}
	return openapi.JSON("inputs", inputs), true
}

// server adds the operations that belong to no model.
func (b builder) server() {
	one := func(name string, value bool) *openapi.Schema {
		return openapi.Object(openapi.Property(name, openapi.Constant(value))).Closed()
	}
	b.ServerGet("live", "/v2/health/live", "Whether the server runs", openapi.Answers(openapi.InBody("It does.", openapi.Content(openapi.JSONType, one("live", true)))))
	ready := openapi.Answers(openapi.InBody("It takes requests.", openapi.Content(openapi.JSONType, one("ready", true))))
	ready = append(ready, openapi.NewField("503", openapi.InBody("It is stopping.", openapi.Content(openapi.JSONType, one("ready", false)))))
	b.ServerGet("ready", "/v2/health/ready", "Whether the server takes requests", ready)
	b.ServerGet("metadata", "/v2", "The server's version and extensions", openapi.Answers(openapi.InBody("The server's name, version and extensions.", openapi.Content(openapi.JSONType, openapi.Object(
		openapi.Property("name", openapi.Constant("forgo")), openapi.Property("version", openapi.Text()), openapi.Property("extensions", openapi.List(openapi.Text(), 0, -1)),
	).Closed()))))
	b.ServerGet("stats", "/v2/models/stats", "Statistics of all models", openapi.Answers(openapi.InBody("Counts and times, by model.", openapi.Content(openapi.JSONType, b.statistics()))))
	names := openapi.Object(openapi.Property("models", openapi.List(openapi.Text(), 0, -1))).Closed()
	b.ServerGet("v2_models", "/v2/models", "The models' names", openapi.Answers(openapi.InBody("Every model, ready or not.", openapi.Content(openapi.JSONType, names))))

	entry := openapi.Object(
		openapi.Property("name", openapi.Text()), openapi.Property("version", openapi.Text()),
		openapi.Property("state", openapi.OneOfStrings([]string{"READY", "LOADING", "UNLOADING", "UNAVAILABLE"})),
		openapi.Property("reason", openapi.About(openapi.Text(), "Why it is not ready.")),
	).Closed()
	const path, sum = "/v2/repository/index", "The models and their states"
	b.ServerOperation(http.MethodPost, path, &openapi.Operation{
		ID: "index", Summary: sum,
		Body: &openapi.Body{Content: openapi.Ordered[*openapi.Media]{openapi.Content(openapi.JSONType, (&openapi.Schema{Type: "object"}).With(
			openapi.Property("ready", openapi.About(openapi.Boolean(), "List only the models that are ready.")),
		), openapi.NewExample("ready", "The ready models", map[string]any{"ready": true}))}},
		Responses: openapi.Answers(openapi.InBody("A list.", openapi.Content(openapi.JSONType, openapi.List(entry, 0, -1))), 400, 408, 413, 415),
	}, "-X POST")
}

// statistics describes the answer of the statistics extension.
func (b builder) statistics() *openapi.Schema {
	return openapi.Once(b.Memo, "oip statistics", func() *openapi.Schema {
		duration := b.Schema("Duration", openapi.Object(openapi.Property("count", openapi.Count()), openapi.Property("ns", openapi.About(openapi.Count(), "Nanoseconds in total."))).Closed())
		times := openapi.Object()
		for _, name := range []string{"success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"} {
			times.Properties = append(times.Properties, openapi.Property(name, duration))
			times.Required = append(times.Required, name)
		}
		return b.Schema("Statistics", openapi.Object(openapi.Property("model_stats", openapi.List(openapi.Object(
			openapi.Property("name", openapi.Text()), openapi.Property("version", openapi.Text()),
			openapi.Property("last_inference", openapi.About(openapi.Count(), "Milliseconds since 1970, 0 for none.")),
			openapi.Property("inference_count", openapi.About(openapi.Count(), "Rows answered.")),
			openapi.Property("execution_count", openapi.About(openapi.Count(), "Runs of the model.")),
			openapi.Property("inference_stats", times.Closed()),
			openapi.Property("batch_stats", openapi.About(openapi.List(openapi.Object(
				openapi.Property("batch_size", openapi.Count()), openapi.Property("compute_input", duration),
				openapi.Property("compute_infer", duration), openapi.Property("compute_output", duration),
			).Closed(), 0, -1), "Runs of the model, by their rows.")),
		).Closed(), 0, -1))).Closed())
	})
}
