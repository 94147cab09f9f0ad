package oip

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
	"strings"

	"github.com/forgo-ml/forgo/client"
	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Replay and ReplayGRPC send golden cases to a server: over REST as JSON and binary data, and over gRPC as
// typed and raw contents.
var (
	Replay = replay.Protocol{Name: "oip", Forms: func(_ context.Context, s *replay.Server) ([]replay.Form, error) {
		return calls{s}.forms("json", "binary"), s.KnownErr
	}}
	ReplayGRPC = replay.Protocol{Name: "oip-grpc", GRPC: true, Forms: func(_ context.Context, s *replay.Server) ([]replay.Form, error) {
		return calls{s}.forms("contents", "raw"), s.KnownErr
	}}
)

// calls are requests to one server.
type calls struct{ *replay.Server }

// forms returns the protocol's core form and its binary form, if the server and the tensors support them.
func (s calls) forms(plain, binary string) []replay.Form {
	e, err := replay.Match(s.Manifest, s.Known.Inputs, s.Known.Outputs)
	if err != nil {
		return replay.Failed(plain, err)
	}
	hasBinary := s.OverGRPC() || slices.Contains(s.Who.Extensions, "binary_tensor_data")
	hasPlain := !slices.ContainsFunc(s.Manifest.Inputs, func(i bundle.TensorInfo) bool {
		return e.Inputs[i.Name] != "" && (i.DType == tensor.Float16 || i.DType == tensor.BFloat16)
	})
	if e.Picture != "" && hasBinary && !s.OverGRPC() && !s.IsForgo() {
		hasPlain = false // how JSON carries bytes is not said by the protocol
	}
	var forms []replay.Form
	if hasPlain {
		forms = append(forms, replay.Form{Name: plain, Ask: s.infer(s.Plain, e)})
	}
	if hasBinary {
		forms = append(forms, replay.Form{Name: binary, Ask: s.infer(s.Binary, e)})
	}
	if hasPlain && !s.OverGRPC() && s.IsForgo() && s.Manifest.Task == bundle.Classification {
		forms = append(forms, replay.Form{Name: "classes", Ask: s.classes(e)})
	}
	return forms
}

// stack returns a batch of cases under the server's names.
func (s calls) stack(e replay.Mapping, cases []bundle.Recorded) (tensor.Map, error) {
	inputs := tensor.Map{}
	stacked, err := bundle.Stack(cases)
	if err != nil {
		return nil, err
	}
	for name, t := range stacked {
		if sent := e.Inputs[name]; sent != "" {
			inputs[sent] = t
		}
	}
	if e.Picture != "" {
		inputs[e.Picture] = replay.Pictures(cases)
	}
	return inputs, nil
}

func (s calls) infer(c *client.Client, e replay.Mapping) func(context.Context, []bundle.Recorded) ([]replay.Row, error) {
	return func(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
		inputs, err := s.stack(e, cases)
		if err != nil {
			return nil, err
		}
		answer, err := c.Infer(ctx, s.Model, inputs)
		if err != nil {
			return nil, err
		}
		outputs, err := e.Named(s.Manifest, answer)
		if err != nil {
			return nil, err
		}
		return replay.Rows(outputs, len(cases))
	}
}

// classes returns a function that asks for the best label of each case with the classification extension.
func (s calls) classes(e replay.Mapping) func(context.Context, []bundle.Recorded) ([]replay.Row, error) {
	return func(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
		inputs, err := s.stack(e, cases)
		if err != nil {
			return nil, err
		}
		body := []byte(`{"inputs":[`)
		for i, name := range slices.Sorted(maps.Keys(inputs)) {
			t := inputs[name]
			if values, err := tensor.Values[string](t); err == nil && name == e.Picture {
				coded := make([]string, len(values))
				for i, text := range values {
					coded[i] = base64.StdEncoding.EncodeToString([]byte(text))
				}
				t.Data = coded
			}
			if i > 0 {
				body = append(body, ',')
			}
			body = tensor.AppendText(append(body, `{"name":`...), name)
			body = tensor.AppendShape(append(body, `,"datatype":"`+wire.Datatype(t.DType())+`","shape":`...), t.Shape)
			body = append(tensor.AppendFlat(append(body, `,"data":`...), t, tensor.Bare), '}')
		}
		body = tensor.AppendText(append(body, `],"outputs":[{"name":`...), s.Manifest.Outputs[0].Name)
		body = append(body, `,"parameters":{"classification":1}}]}`...)
		answer, err := s.Plain.Call(ctx, http.MethodPost, "v2/models/"+s.Model+"/infer", "application/json", body)
		if err != nil {
			return nil, err
		}
		var said struct {
			Outputs []struct {
				Data []string `json:"data"`
			} `json:"outputs"`
		}
		if err := json.Unmarshal(answer, &said); err != nil {
			return nil, fmt.Errorf("the answer is not an inference response: %w", err)
		}
		if len(said.Outputs) != 1 {
			return nil, fmt.Errorf("the answer has %d outputs, want 1", len(said.Outputs))
		}
		list := make([]replay.Row, len(said.Outputs[0].Data))
		for i, text := range said.Outputs[0].Data {
			parts := strings.SplitN(text, ":", 3)
			if len(parts) < 3 {
				return nil, fmt.Errorf("%q is not VALUE:INDEX:LABEL", text)
			}
			list[i].Label = &parts[2]
		}
		return list, nil
	}
}
