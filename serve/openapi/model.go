package openapi

// What the protocols' descriptions of one model share.

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// model is one version of a model, as it is being described.
type model struct {
	*served.Model
	tag             string
	id              string        // the beginning of its operations' ids
	prefix          string        // of its components' names
	inputs, outputs []tensor.Spec // as the graph has them
	encoded         []tensor.Spec // of a model that takes a picture beside others: the inputs with the encoded picture
	examples        []tensor.Spec // the inputs with the sizes of an example row
	picture         bool          // a picture is all that it takes
	label           *Schema       // of a classifier
	again           bool          // it is also at paths without a version
	labels          []string

	// What all paths of a version share.
	request, infer, metadata, config, tfMetadata *Schema
	tfVerbs                                      []verb
}

func (b *builder) newModel(m *served.Model) *model {
	manifest := m.Manifest()
	d := &model{Model: m, tag: m.Name, id: m.Name, prefix: m.Name + "." + m.Version + ".", picture: manifest.PictureAlone()}
	shapes := m.GoldenShapes()
	for _, i := range manifest.Inputs {
		spec := i.Spec()
		d.inputs = append(d.inputs, spec)
		if p := manifest.Picture; p != nil && !d.picture && spec.Name == p.Input {
			spec = pictureSpec
		}
		d.encoded = append(d.encoded, spec)
		d.examples = append(d.examples, exampleSpec(spec, shapes[spec.Name]))
	}
	if manifest.Picture == nil || d.picture {
		d.encoded = nil
	}
	for _, o := range manifest.Shown() {
		d.outputs = append(d.outputs, o.Spec())
	}
	if manifest.Labelled() {
		d.label = b.schema(d.prefix+"Label", oneOfTexts(manifest.Labels))
	}
	return d
}

// pictureSpec is how clients know an encoded picture.
var pictureSpec = tensor.Spec{Name: bundle.PictureName, DType: tensor.String, Shape: []int64{-1}}

// isPicture tells the encoded picture among the inputs of a model that has others.
func (d *model) isPicture(s tensor.Spec) bool {
	return d.encoded != nil && s.Name == pictureSpec.Name && s.DType == tensor.String
}

// sets are the ways to name the inputs: with the encoded picture, where there is one beside
// others, and as the graph has them.
func (d *model) sets() [][]tensor.Spec {
	if d.encoded != nil {
		return [][]tensor.Spec{d.encoded, d.inputs}
	}
	return [][]tensor.Spec{d.inputs}
}

// element is one element of an input. ONNX Runtime takes strings as C does.
func (d *model) element(t tensor.DType) *Schema {
	s := element(t)
	if s.Type == "number" {
		s = orNull(s) // which is read as NaN
	}
	if t == tensor.String && d.Manifest().Engine == "onnxruntime" {
		s.Pattern = `^[^\x00]*$`
	}
	return s
}

// exampleSpec gives free sizes, but for the batch's, the values that they had in a golden case.
func exampleSpec(s tensor.Spec, golden []int64) tensor.Spec {
	shape := append([]int64{}, s.Shape...)
	for i, d := range shape {
		switch {
		case d >= 0 || i == 0:
		case i < len(golden):
			shape[i] = golden[i]
		default:
			shape[i] = 1
		}
	}
	s.Shape = shape
	return s
}

// takes are the media types of the model's pictures.
func (d *model) takes() []string { return d.Manifest().Picture.Accept }

// maxExample bounds the elements of an example: longer ones are not read by people.
const maxExample = 64

// short reports whether the model's rows are short enough to be shown.
func (d *model) short() bool {
	n := int64(0)
	for _, s := range d.examples {
		if !inJSON(s.DType) {
			return false
		}
		row, err := tensor.Count(s.Shape[1:])
		if err != nil || row > maxExample {
			return false
		}
		n += row
	}
	return n <= maxExample
}

// row is an example of one row of an input, nested; %s is in place of a picture in base64.
func (d *model) row(s tensor.Spec) any {
	if d.isPicture(s) {
		return Ordered[any]{{"b64", "%s"}}
	}
	return filled(s.DType, s.Shape[1:])
}

func filled(dtype tensor.DType, shape []int64) any {
	if len(shape) > 0 {
		values := []any{}
		for range shape[0] {
			values = append(values, filled(dtype, shape[1:]))
		}
		return values
	}
	switch dtype {
	case tensor.Bool:
		return true
	case tensor.String:
		return "text"
	case tensor.Float32, tensor.Float64:
		return 0.5
	}
	return 1
}

// flat is an example's elements without nesting.
func (d *model) flat(s tensor.Spec) []any {
	if d.isPicture(s) {
		return []any{"%s"}
	}
	n, err := tensor.Count(s.Shape[1:])
	if err != nil {
		return nil
	}
	return filled(s.DType, []int64{n}).([]any)
}

// byName is an object with a value for each input.
func (d *model) byName(value func(tensor.Spec) any) any {
	o := Ordered[any]{}
	for _, s := range d.examples {
		o = append(o, Field[any]{s.Name, value(s)})
	}
	return o
}

// bare is one input's value without its name, or else an object of all inputs' values.
func (d *model) bare(value func(tensor.Spec) any) any {
	if len(d.examples) == 1 {
		return value(d.examples[0])
	}
	return d.byName(value)
}

// Sample is a command to copy.
type Sample struct {
	Language string `json:"lang"`
	Label    string `json:"label"`
	Source   string `json:"source"`
}

var plainAddress = regexp.MustCompile(`^[A-Za-z0-9.:/%_-]+$`)

// curl is a command that calls a path.
func (b *builder) curl(label, path, arguments string) Sample {
	if arguments != "" {
		arguments += " "
	}
	if b.locked != nil && b.locked(path) {
		arguments = `-H "X-API-Key: $KEY" ` + arguments
	}
	address := b.base + path
	if !plainAddress.MatchString(address) {
		address = quote(address)
	}
	return Sample{"Shell", label, "curl " + arguments + address}
}

// piped is a command that sends JSON with a picture in base64 in place of %s.
func (b *builder) piped(label, path, body string) Sample {
	s := b.curl(label, path, "--data-binary @-")
	s.Source = "printf " + quote(body) + " \"$(base64 -w0 picture.jpg)\" | " + s.Source
	return s
}

// post is a command that sends JSON, and a picture in it where the model takes one.
func (b *builder) post(d *model, label, path string, body any) Sample {
	raw, err := json.Marshal(body)
	if err != nil {
		return b.curl(label, path, "")
	}
	if d.encoded != nil {
		return b.piped(label, path, string(raw))
	}
	return b.curl(label, path, "-d "+quote(string(raw)))
}

// quote makes one word of a text for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
