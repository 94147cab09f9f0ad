package tfserving

// The protocol's part of verify --url. It shares no code with the server, so that a fault in one shows in
// the other.

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Replay and ReplayGRPC send golden cases to a server: over REST by row and by column, and over gRPC by
// value and as content. Both also send examples to forgo's server.
var (
	Replay     = replay.Protocol{Name: "tensorflow", Forms: restForms}
	ReplayGRPC = replay.Protocol{Name: "tensorflow-grpc", GRPC: true, Forms: grpcForms}
)

// rest is a model in the REST API.
type rest struct {
	*replay.Server
	replay.Mapping
	path      string
	signature string // "" for the bundle's own
}

// restForms asks for the model's signature. It fails if there is no such model.
func restForms(ctx context.Context, s *replay.Server) ([]replay.Form, error) {
	t := rest{Server: s, path: "v1/models/" + s.Model}
	body, err := s.Plain.Call(ctx, http.MethodGet, t.path+"/metadata", "", nil)
	if err != nil {
		return nil, err
	}
	inputs, outputs, err := readSignature(body, ownSignature)
	if err != nil {
		return nil, fmt.Errorf("GET %s/metadata: %w", t.path, err)
	}
	if t.Mapping, err = replay.Match(s.Manifest, inputs, outputs); err != nil {
		return replay.Failed("instances", err), nil
	}
	forms := []replay.Form{{Name: "instances", Ask: t.byRow}, {Name: "inputs", Ask: t.byColumn}}
	if s.IsForgo() && len(s.Manifest.Columns) > 1 { // other servers take only objects
		forms = append(forms, replay.Form{Name: "lists", Ask: t.byList})
	}
	// On other servers, the verb needs a signature of its own.
	if s.IsForgo() && s.Manifest.Task == bundle.Classification {
		forms = append(forms, replay.Form{Name: "classify", Ask: t.classify})
	}
	for i := range s.Signed {
		signed := &s.Signed[i]
		its, err := restFormsOf(signed, s, body)
		if err != nil {
			its = replay.Failed("instances", err)
		}
		forms = append(forms, signed.Forms(its...)...)
	}
	return forms, nil
}

func restFormsOf(signed *replay.Signed, s *replay.Server, metadata []byte) ([]replay.Form, error) {
	t := rest{Server: signed.At(s), path: "v1/models/" + s.Model, signature: signed.Name()}
	inputs, outputs, err := readSignature(metadata, t.signature)
	if err != nil {
		return nil, err
	}
	if t.Mapping, err = replay.Match(t.Manifest, inputs, outputs); err != nil {
		return nil, err
	}
	forms := []replay.Form{{Name: "instances", Ask: t.byRow}, {Name: "inputs", Ask: t.byColumn}}
	if takesExamples(t.Manifest) {
		forms = append(forms, replay.Form{Name: "examples", Ask: t.examples})
	}
	return forms, nil
}

var typeOf = map[string]tensor.DType{
	"DT_BOOL": tensor.Bool, "DT_STRING": tensor.String,
	"DT_INT8": tensor.Int8, "DT_INT16": tensor.Int16, "DT_INT32": tensor.Int32, "DT_INT64": tensor.Int64,
	"DT_UINT8": tensor.Uint8, "DT_UINT16": tensor.Uint16, "DT_UINT32": tensor.Uint32, "DT_UINT64": tensor.Uint64,
	"DT_HALF": tensor.Float16, "DT_BFLOAT16": tensor.BFloat16, "DT_FLOAT": tensor.Float32, "DT_DOUBLE": tensor.Float64,
}

// readSignature reads the inputs and outputs of a signature.
func readSignature(body []byte, name string) (inputs, outputs []tensor.Spec, err error) {
	type info struct {
		DType string `json:"dtype"`
		Shape struct {
			Dim []struct {
				Size string `json:"size"`
			} `json:"dim"`
		} `json:"tensor_shape"`
	}
	type signature struct {
		Inputs  map[string]info `json:"inputs"`
		Outputs map[string]info `json:"outputs"`
	}
	var said struct {
		Metadata struct {
			SignatureDef struct {
				SignatureDef map[string]signature `json:"signature_def"`
			} `json:"signature_def"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, nil, fmt.Errorf("it is not a model's metadata: %w", err)
	}
	def, ok := said.Metadata.SignatureDef.SignatureDef[name]
	if !ok {
		return nil, nil, fmt.Errorf("the model has no signature %q", name)
	}
	specs := func(infos map[string]info) (list []tensor.Spec) {
		for _, name := range slices.Sorted(maps.Keys(infos)) {
			s := tensor.Spec{Name: name, DType: typeOf[infos[name].DType]}
			for _, d := range infos[name].Shape.Dim {
				size, err := strconv.ParseInt(d.Size, 10, 64)
				if err != nil {
					size = -1
				}
				s.Shape = append(s.Shape, size)
			}
			list = append(list, s)
		}
		return list
	}
	return specs(def.Inputs), specs(def.Outputs), nil
}

// byRow sends a list of instances, without names if the model has one input.
func (t rest) byRow(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	body := []byte(`{"instances":[`)
	for i, c := range cases {
		if i > 0 {
			body = append(body, ',')
		}
		body = t.appendInstance(body, c)
	}
	return t.ask(ctx, append(body, "]}"...), "predictions", len(cases))
}

// byList sends a table's rows as lists of values.
func (t rest) byList(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	body := []byte(`{"instances":[`)
	for i, c := range cases {
		if i > 0 {
			body = append(body, ',')
		}
		for j, info := range t.Manifest.Inputs {
			body = append(body, "[,"[min(j, 1)])
			body = t.appendValue(body, c, info.Name)
		}
		body = append(body, ']')
	}
	return t.ask(ctx, append(body, "]}"...), "predictions", len(cases))
}

func (t rest) appendInstance(dst []byte, c bundle.Recorded) []byte {
	if len(c.Inputs) > 1 {
		return t.appendNamed(dst, c)
	}
	return t.appendValue(dst, c, t.Manifest.Inputs[0].Name)
}

// appendNamed appends a case's row of each input, in an object.
func (t rest) appendNamed(dst []byte, c bundle.Recorded) []byte {
	dst = append(dst, '{')
	for i, info := range t.Manifest.Inputs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = tensor.AppendText(dst, t.Sent(info.Name))
		dst = append(dst, ':')
		dst = t.appendValue(dst, c, info.Name)
	}
	return append(dst, '}')
}

// appendValue appends a case's row of one input, as a picture if it is one.
func (t rest) appendValue(dst []byte, c bundle.Recorded, name string) []byte {
	if t.Inputs[name] == "" {
		return appendBase64(dst, c.Picture)
	}
	x := c.Inputs[name]
	if values, ok := x.Data.([]string); ok && t.signature != "" {
		return tensor.AppendNestedBase64(dst, x.Shape[1:], values) // a list of instances has one form for all
	}
	return appendGiven(dst, tensor.Tensor{Shape: x.Shape[1:], Data: x.Data})
}

// appendGiven appends values. Strings that are not UTF-8 are in base64.
func appendGiven(dst []byte, t tensor.Tensor) []byte {
	if values, ok := t.Data.([]string); ok && tensor.CheckText(t) != nil {
		return tensor.AppendNestedBase64(dst, t.Shape, values)
	}
	return tensor.AppendNested(dst, t, tensor.Bare)
}

// naming returns the body with the signature's name, unless it is the bundle's own.
func (t rest) naming(body []byte) []byte {
	if t.signature == "" {
		return body
	}
	named := append(tensor.AppendText([]byte(`{"signature_name":`), t.signature), ',')
	return append(named, body[1:]...)
}

func appendBase64(dst, raw []byte) []byte {
	dst = append(dst, `{"b64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, `"}`...)
}

// byColumn sends each input's batch by its name.
func (t rest) byColumn(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	body := []byte(`{"inputs":{`)
	stacked, err := bundle.Stack(cases)
	if err != nil {
		return nil, err
	}
	for i, info := range t.Manifest.Inputs {
		if i > 0 {
			body = append(body, ',')
		}
		body = tensor.AppendText(body, t.Sent(info.Name))
		body = append(body, ':')
		if t.Inputs[info.Name] != "" {
			body = appendGiven(body, stacked[info.Name])
			continue
		}
		body = append(body, '[')
		for j, c := range cases {
			if j > 0 {
				body = append(body, ',')
			}
			body = appendBase64(body, c.Picture)
		}
		body = append(body, ']')
	}
	return t.ask(ctx, append(body, "}}"...), "outputs", len(cases))
}

// ask sends a predict request and reads the field of its answer that holds the outputs.
func (t rest) ask(ctx context.Context, body []byte, field string, n int) ([]replay.Row, error) {
	answer, err := t.Plain.Call(ctx, http.MethodPost, t.path+":predict", "application/json", t.naming(body))
	if err != nil {
		return nil, err
	}
	tensors := tensor.Map{}
	r := payload.New(answer)
	seen := false
	err = r.Object(func(name string) error {
		if name != field {
			_, err := r.Raw()
			return err
		}
		seen = true
		switch {
		case r.Peek() == '{':
			return t.columns(r, tensors)
		case r.PeekInto() == '{':
			return t.rows(r, tensors)
		}
		var err error
		tensors[t.only()], err = r.Tensor(t.dtype(t.only()), 0)
		return err
	})
	if err == nil {
		err = r.End()
	}
	if err == nil && !seen {
		err = fmt.Errorf("it has no %s", field)
	}
	if err != nil {
		return nil, fmt.Errorf("it is not the answer to a predict request: %w", err)
	}
	outputs, err := t.Named(t.Manifest, tensors)
	if err != nil {
		return nil, err
	}
	return replay.Rows(outputs, n)
}

// only returns the name of an output that the answer does not name.
func (t rest) only() string {
	if len(t.Outputs) == 1 {
		return t.Outputs[0]
	}
	return t.Manifest.Outputs[0].Name
}

// dtype returns the type as which to read an output, which JSON does not tell.
func (t rest) dtype(name string) tensor.DType {
	for _, o := range t.Manifest.Outputs {
		if o.Name == name {
			return inJSON(o.DType)
		}
	}
	return ""
}

// inJSON returns the type in which JSON carries the values of d.
func inJSON(d tensor.DType) tensor.DType {
	if d == tensor.Float16 || d == tensor.BFloat16 {
		return tensor.Float32
	}
	return d
}

// columns reads outputs by name, and skips those that the bundle lacks.
func (t rest) columns(r *payload.Reader, into tensor.Map) error {
	return r.Object(func(name string) error {
		d := t.dtype(name)
		if d == "" {
			_, err := r.Raw()
			return err
		}
		x, err := r.Tensor(d, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		into[name] = x
		return nil
	})
}

// rows reads a list of rows, each an object of outputs.
func (t rest) rows(r *payload.Reader, into tensor.Map) error {
	parts := map[string][]tensor.Tensor{}
	err := r.List(func(int) error {
		one := tensor.Map{}
		if err := t.columns(r, one); err != nil {
			return err
		}
		for name, x := range one {
			parts[name] = append(parts[name], x.Batch())
		}
		return nil
	})
	for name, list := range parts {
		if err == nil {
			into[name], err = tensor.Concat(list...)
		}
	}
	return err
}

// classify sends examples, and reads the labels with their scores.
func (t rest) classify(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	body := []byte(`{"examples":[`)
	for i, c := range cases {
		if i > 0 {
			body = append(body, ',')
		}
		body = t.appendNamed(body, c)
	}
	answer, err := t.Plain.Call(ctx, http.MethodPost, t.path+":classify", "application/json", append(body, "]}"...))
	if err != nil {
		return nil, err
	}
	var said struct {
		Results [][][2]json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return nil, fmt.Errorf("it is not the answer to a classify request: %w", err)
	}
	list := make([]replay.Row, len(said.Results))
	for i, result := range said.Results {
		list[i].Classes = []predict.Class{}
		for _, pair := range result {
			var c predict.Class
			if err := json.Unmarshal(pair[0], &c.Label); err != nil {
				return nil, fmt.Errorf("it is not the answer to a classify request: %w", err)
			}
			score, err := strconv.ParseFloat(strings.TrimSpace(string(pair[1])), 32)
			if err != nil {
				return nil, fmt.Errorf("it is not the answer to a classify request: %w", err)
			}
			c.Score = float32(score)
			list[i].Classes = append(list[i].Classes, c)
		}
	}
	return list, nil
}
