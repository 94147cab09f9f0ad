package openapi

// Parts of a model's description that protocols share.

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// Model is one version of a model that is being described.
type Model struct {
	*served.Model
	Tag                     string
	ID                      string        // the beginning of its operations' ids
	Prefix                  string        // of its components' names
	InputSpecs, OutputSpecs []tensor.Spec // as the graph has them
	Encoded                 []tensor.Spec // of a model that takes a picture beside others: the inputs with the encoded picture
	Examples                []tensor.Spec // the inputs with the sizes of an example row
	PictureAlone            bool          // a picture is all that it takes
	Label                   *Schema       // of a classifier
	Other                   bool          // it is another signature of its model than its own
	Again                   bool          // it is also at paths without a version
	VersionLabels           []string

	Memo // what all paths of the version share
}

// Signed describes another signature of a model. Its operations are the model's.
func (b *Builder) Signed(of *Model, m *served.Model) *Model {
	d := b.newModel(m)
	d.Prefix, d.Other = of.Prefix+m.Manifest().Graph.Signature+".", true
	return d
}

func (b *Builder) newModel(m *served.Model) *Model {
	manifest := m.Manifest()
	d := &Model{Memo: Memo{}, Model: m, Tag: m.Name, ID: m.Name, Prefix: m.Name + "." + m.Version + ".", PictureAlone: manifest.PictureAlone()}
	shapes := m.GoldenShapes()
	for _, i := range manifest.Inputs {
		spec := i.Spec()
		d.InputSpecs = append(d.InputSpecs, spec)
		if p := manifest.Picture; p != nil && !d.PictureAlone && spec.Name == p.Input {
			spec = PictureSpec
		}
		d.Encoded = append(d.Encoded, spec)
		d.Examples = append(d.Examples, exampleSpec(spec, shapes[spec.Name]))
	}
	if manifest.Picture == nil || d.PictureAlone {
		d.Encoded = nil
	}
	for _, o := range manifest.Shown() {
		d.OutputSpecs = append(d.OutputSpecs, o.Spec())
	}
	if manifest.Labelled() {
		d.Label = b.Schema(d.Prefix+"Label", OneOfStrings(manifest.Labels))
	}
	return d
}

// PictureSpec describes an encoded picture to clients.
var PictureSpec = tensor.Spec{Name: bundle.PictureName, DType: tensor.String, Shape: []int64{-1}}

// IsPicture reports whether s is the encoded picture of a model with other inputs.
func (d *Model) IsPicture(s tensor.Spec) bool {
	return d.Encoded != nil && s.Name == PictureSpec.Name && s.DType == tensor.String
}

// Sets returns the ways to name the inputs: with the encoded picture, if there is one beside others, and
// as the graph has them.
func (d *Model) Sets() [][]tensor.Spec {
	if d.Encoded != nil {
		return [][]tensor.Spec{d.Encoded, d.InputSpecs}
	}
	return [][]tensor.Spec{d.InputSpecs}
}

// Element describes one element of an input.
func (d *Model) Element(t tensor.DType) *Schema {
	s := Element(t)
	if s.Type == "number" {
		s = OrNull(s) // null is read as NaN
	}
	return s
}

// Cells describes a row of a table without names, its values in order. It is nil for other models, and for a table of
// one column, whose values are rows.
func (d *Model) Cells() *Schema {
	n := int64(len(d.InputSpecs))
	if !d.Manifest().Row().Table || n < 2 {
		return nil
	}
	s := &Schema{Type: "array", Items: Never(), MinItems: &n}
	for _, spec := range d.InputSpecs {
		s.PrefixItems = append(s.PrefixItems, d.Element(spec.DType))
	}
	return s
}

// exampleSpec replaces free sizes, except for the batch, by those of a golden case.
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

// PictureTypes returns the media types of the model's pictures.
func (d *Model) PictureTypes() []string { return d.Manifest().Picture.Accept }

// maxExample bounds the elements of an example, since people do not read longer ones.
const maxExample = 64

// Short reports whether the model's rows are short enough to show.
func (d *Model) Short() bool {
	n := int64(0)
	for _, s := range d.Examples {
		if !InJSON(s.DType) {
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

// Row returns an example of one nested row of an input. A picture in base64 is %s.
func (d *Model) Row(s tensor.Spec) any {
	if d.IsPicture(s) {
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

// Flat returns an example's elements without nesting.
func (d *Model) Flat(s tensor.Spec) []any {
	if d.IsPicture(s) {
		return []any{"%s"}
	}
	n, err := tensor.Count(s.Shape[1:])
	if err != nil {
		return nil
	}
	return filled(s.DType, []int64{n}).([]any)
}

// ByName returns an object with a value for each input.
func (d *Model) ByName(value func(tensor.Spec) any) any {
	o := Ordered[any]{}
	for _, s := range d.Examples {
		o = append(o, Field[any]{s.Name, value(s)})
	}
	return o
}

// Bare returns a single input's value without its name, or else an object of all inputs' values.
func (d *Model) Bare(value func(tensor.Spec) any) any {
	if len(d.Examples) == 1 {
		return value(d.Examples[0])
	}
	return d.ByName(value)
}

// Sample is a command to copy.
type Sample struct {
	Language string `json:"lang"`
	Label    string `json:"label"`
	Source   string `json:"source"`
}

var plainAddress = regexp.MustCompile(`^[A-Za-z0-9.:/%_-]+$`)

// Curl returns a command that calls a path.
func (b *Builder) Curl(label, path, arguments string) Sample {
	if arguments != "" {
		arguments += " "
	}
	if b.locked != nil && b.locked(path) {
		arguments = `-H "X-API-Key: $KEY" ` + arguments
	}
	address := b.base + path
	if !plainAddress.MatchString(address) {
		address = Quote(address)
	}
	return Sample{"Shell", label, "curl " + arguments + address}
}

// Piped returns a command that sends JSON in which a picture in base64 replaces %s.
func (b *Builder) Piped(label, path, body string) Sample {
	s := b.Curl(label, path, "--data-binary @-")
	s.Source = "printf " + Quote(body) + " \"$(base64 -w0 picture.jpg)\" | " + s.Source
	return s
}

// Post returns a command that sends JSON, with a picture if the model takes one.
func (b *Builder) Post(d *Model, label, path string, body any) Sample {
	raw, err := json.Marshal(body)
	if err != nil {
		return b.Curl(label, path, "")
	}
	if d.Encoded != nil {
		return b.Piped(label, path, string(raw))
	}
	return b.Curl(label, path, "-d "+Quote(string(raw)))
}

// Quote quotes a text as one word for a shell.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
