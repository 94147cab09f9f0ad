// Package oip speaks the Open Inference Protocol v2
// (https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol) over REST and gRPC.
// It supports the binary tensor data, classification, model configuration, model repository and statistics
// extensions.
//
// REST and gRPC requests both become a [call], and share everything from there to the outputs.
package oip

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Models finds models, like [repository.Repository].
type Models interface {
	// Get returns a model, which the caller releases. The error is served.ErrNotFound or
	// served.ErrNotReady.
	Get(name, version string) (*served.Model, error)
	// Status returns every known version, by name and version.
	Status() []repository.Status
	// Ready reports whether the server as a whole takes requests.
	Ready() bool
	// Stopping reports whether the server is about to stop.
	Stopping() bool
}

// Manager loads and unloads models.
type Manager interface {
	Load(ctx context.Context, name string) error
	Unload(ctx context.Context, name string) error
}

// ready returns the models that answer.
func ready(models Models) []*served.Model {
	var list []*served.Model
	for _, s := range models.Status() {
		if s.Model != nil {
			list = append(list, s.Model)
		}
	}
	return list
}

// Picture is the BYTES input that takes a model's encoded pictures.
const Picture = bundle.PictureName

// extensions lists the extensions in the server's metadata.
var extensions = []string{"binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"}

// call is one inference in the protocol's terms.
type call struct {
	inputs  []input
	outputs []output      // none: all that the model has
	binary  bool          // outputs that do not say are given as binary data
	timeout time.Duration // 0: it gives none
	free    func()        // gives back the memory of binary data once the run has ended; nil without
}

// setTimeout sets the request parameter timeout, as Triton defines it.
func (c *call) setTimeout(microseconds int64) error {
	if microseconds < 0 || microseconds > math.MaxInt64/int64(time.Microsecond) {
		return fmt.Errorf("%d is not a number of microseconds", microseconds)
	}
	c.timeout = time.Duration(microseconds) * time.Microsecond
	return nil
}

type input struct {
	name   string
	tensor tensor.Tensor
	base64 bool // BYTES elements that came as JSON text
}

// decode decodes elements that the parameter content_type declares as base64, which is how MLServer's
// codec sends bytes. A picture in JSON is always base64. decode refuses elements that are packed as JSON,
// which MLServer's pandas codec uses for columns of mixed values, since a text would reach the model in
// quotes.
func (in *input) decode(contentType string, picture bool) error {
	if strings.HasSuffix(contentType, "_json") {
		return fmt.Errorf("parameters: content_type: elements encoded as JSON (%s) are not supported; send strings or numbers", tensor.Quote(contentType))
	}
	if contentType != "base64" || picture && in.base64 {
		return nil
	}
	values, err := tensor.Values[string](in.tensor)
	if err != nil {
		return fmt.Errorf("parameters: content_type: base64 is for BYTES, not %s", wire.Datatype(in.tensor.DType()))
	}
	raw := make([]string, len(values))
	for i, text := range values {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("element %d is not base64, which content_type announces: %w", i, err)
		}
		raw[i] = string(decoded)
	}
	in.tensor.Data = raw
	return nil
}

type output struct {
	name    string
	binary  bool
	classes int // how many best classes to send instead of the values; 0: the values
}

// wanted returns the outputs to answer with.
func (c *call) wanted(m *served.Model) ([]output, error) {
	all := m.Manifest().Outputs
	for i, o := range c.outputs {
		at := slices.IndexFunc(all, func(info bundle.TensorInfo) bool { return info.Name == o.name })
		if at < 0 {
			return nil, served.BadInput("outputs[%d]: the model has no output %s; it has %q", i, tensor.Quote(o.name), names(all))
		}
		if err := o.classify(all[at].DType); err != nil {
			return nil, served.BadInput("outputs[%d]: %w", i, err)
		}
		if slices.ContainsFunc(c.outputs[:i], func(p output) bool { return p.name == o.name }) {
			return nil, served.BadInput("outputs[%d]: output %q occurs twice", i, o.name)
		}
	}
	if len(c.outputs) > 0 {
		return c.outputs, nil
	}
	outputs := make([]output, 0, len(all))
	for _, info := range all {
		if !info.Hidden {
			outputs = append(outputs, output{name: info.Name, binary: c.binary})
		}
	}
	return outputs, nil
}

func names(infos []bundle.TensorInfo) []string {
	list := make([]string, len(infos))
	for i, info := range infos {
		list[i] = info.Name
	}
	return list
}

// run runs the model on the call's inputs. It also returns which outputs to answer with.
func (c *call) run(r *served.Request) (wanted []output, results predict.Tensors, err error) {
	if wanted, err = c.wanted(r.Model); err != nil {
		return nil, nil, err
	}
	inputs, err := c.prepare(r)
	if err != nil {
		return nil, nil, err
	}
	results, err = r.Run(inputs)
	return wanted, results, err
}

// prepare converts the request to the model's inputs.
func (c *call) prepare(r *served.Request) (predict.Tensors, error) {
	if c.timeout > 0 {
		r.Within(c.timeout)
	}
	picture := r.Manifest().Picture
	inputs := tensor.NewMap()
	encoded := -1
	for i, in := range c.inputs {
		if _, ok := inputs[in.name]; ok {
			return nil, served.BadInput("inputs[%d]: input %q occurs twice", i, in.name)
		}
		if picture == nil || in.name != Picture || in.name == picture.Input && in.tensor.DType() != tensor.String {
			for _, spec := range r.Inputs() {
				if spec.Name == in.name {
					in.tensor.Shape = cut(in.tensor.Shape, spec)
				}
			}
			inputs[in.name] = in.tensor
			continue
		}
		if encoded >= 0 {
			return nil, served.BadInput("inputs[%d]: input %q occurs twice", i, in.name)
		}
		encoded = i
	}
	if encoded >= 0 {
		if r.Manifest().PictureAlone() && len(c.inputs) != 1 {
			return nil, served.BadInput("inputs[%d]: send %q and no other input", encoded, Picture)
		}
		if _, ok := inputs[picture.Input]; ok {
			return nil, served.BadInput("inputs[%d]: send %q or %q, which it becomes, not both", encoded, Picture, picture.Input)
		}
		made, err := c.inputs[encoded].pictures(r, encoded)
		if err != nil {
			return nil, err
		}
		maps.Copy(inputs, made)
		return inputs, r.Fit(inputs)
	}
	if len(inputs) == 0 {
		return nil, served.BadInput("inputs: the request has none; the model takes %s", described(r.Model))
	}
	return inputs, r.Fit(inputs)
}

// inputs describes what a model takes.
type inputs struct {
	specs       []tensor.Spec
	picture     string // the input that pictures become; "" where the model takes none
	outputs     int
	maxPictures int
	maxElements int
	model       *served.Model // nil in tests of the reading alone
}

func inputsOf(m *served.Model) inputs {
	in := inputs{
		specs: m.Inputs(), outputs: len(m.Manifest().Outputs), maxPictures: m.MaxPictures, maxElements: m.MaxElements,
		model: m,
	}
	if p := m.Manifest().Picture; p != nil {
		in.picture = p.Input
	}
	return in
}

// takes returns an error unless the model takes an input of the name, type and shape. It is called before
// the data is read.
func (in inputs) takes(name string, d tensor.DType, shape []int64) error {
	if in.picture != "" && name == Picture && (name != in.picture || d == tensor.String) {
		if n, err := tensor.Count(shape); err == nil && n > int64(in.maxPictures) {
			return fmt.Errorf("%d pictures in one request; send at most %d", n, in.maxPictures)
		}
		return nil
	}
	for _, spec := range in.specs {
		if spec.Name != name {
			continue
		}
		n, err := tensor.Count(shape)
		if err == nil && !spec.Takes(d, cut(shape, spec)) {
			err = spec.Unfit(tensor.Tensor{Shape: shape, Data: tensor.Empty(d)})
		}
		if err == nil && n > int64(in.maxElements) {
			err = fmt.Errorf("more than %d elements", in.maxElements)
		}
		return err
	}
	return fmt.Errorf("the model has no input %s; it takes %s", tensor.Quote(name), in.all())
}

// cut removes trailing sizes of 1 that the spec lacks. MLServer's codecs send [N,1] for rows of one value.
func cut(shape []int64, spec tensor.Spec) []int64 {
	for n := len(shape); n > len(spec.Shape) && n > 1 && shape[n-1] == 1; n-- {
		shape = shape[:n-1]
	}
	return shape
}

// all lists the inputs for error messages.
func (in inputs) all() string {
	if in.model == nil {
		return "inputs"
	}
	return described(in.model)
}

// tooMany returns an error if a request has an input i that the model could not take.
func (in inputs) tooMany(i int) error {
	if most := len(in.specs) + 1; i > most {
		return fmt.Errorf("more than %d; the model takes %s", most, in.all())
	}
	return nil
}

// described lists what a client may send, for error messages.
func described(m *served.Model) string {
	inputs, _ := metadata(m)
	text := ""
	for i, in := range inputs {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%q %s%v", in.Name, in.Datatype, in.Shape)
	}
	return text
}

// pictures converts BYTES elements to one batch of the model's input.
func (in input) pictures(r *served.Request, at int) (predict.Tensors, error) {
	values, err := tensor.Values[string](in.tensor)
	if err != nil {
		return nil, served.BadInput("inputs[%d]: %q takes datatype BYTES, not %s", at, Picture, wire.Datatype(in.tensor.DType()))
	}
	if shape := in.tensor.Shape; len(shape) > 2 || len(shape) == 2 && shape[1] != 1 {
		return nil, served.BadInput("inputs[%d]: %q needs shape [N] or [N,1], one element a picture, not %v", at, Picture, shape)
	}
	encoded := make([][]byte, len(values))
	for i, text := range values {
		if !in.base64 {
			encoded[i] = unsafe.Slice(unsafe.StringData(text), len(text)) // only read
			continue
		}
		if encoded[i], err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, served.BadInput("inputs[%d] %q: element %d is not base64: %w", at, Picture, i, err)
		}
	}
	return r.Pictures(encoded, func(i int) string { return fmt.Sprintf("inputs[%d] %q: element %d", at, Picture, i) })
}

// tensorMetadata is one input or output in a model's metadata.
type tensorMetadata struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// metadata lists a model's inputs and outputs. A picture model's input is encoded pictures, in a shape for
// which Triton's tools can make a batch. [N] is accepted too.
func metadata(m *served.Model) (inputs, outputs []tensorMetadata) {
	list := func(infos []bundle.TensorInfo) []tensorMetadata {
		out := make([]tensorMetadata, len(infos))
		for i, info := range infos {
			out[i] = tensorMetadata{info.Name, wire.Datatype(info.DType), info.Spec().Shape}
		}
		return out
	}
	manifest := m.Manifest()
	inputs = list(manifest.Inputs)
	for i := range inputs {
		if p := manifest.Picture; p != nil && inputs[i].Name == p.Input {
			inputs[i] = tensorMetadata{Picture, "BYTES", []int64{-1, 1}}
		}
	}
	return inputs, list(manifest.Shown())
}
