package replay

// The Open Inference Protocol, REST and gRPC.

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
	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// oipForms are the protocol's core form and its binary one, where the server and the tensors
// have them.
func (s *server) oipForms(known client.Metadata, plain, binary string) []form {
	e, err := match(s.manifest, known.Inputs, known.Outputs)
	if err != nil {
		return failed(plain, err)
	}
	hasBinary := overGRPC(s.url) || slices.Contains(s.who.Extensions, "binary_tensor_data")
	hasPlain := !slices.ContainsFunc(s.manifest.Inputs, func(i bundle.TensorInfo) bool {
		return e.inputs[i.Name] != "" && (i.DType == tensor.Float16 || i.DType == tensor.BFloat16)
	})
	if e.picture != "" && hasBinary && !overGRPC(s.url) && !s.isForgo() {
		hasPlain = false // how JSON carries bytes is not said by the protocol
	}
	var forms []form
	if hasPlain {
		forms = append(forms, form{name: plain, ask: s.infer(s.plain, e)})
	}
	if hasBinary {
		forms = append(forms, form{name: binary, ask: s.infer(s.binary, e)})
	}
	if hasPlain && !overGRPC(s.url) && s.isForgo() && s.manifest.Task == bundle.Classification {
		forms = append(forms, form{name: "classes", ask: s.classes(e)})
	}
	return forms
}

// stack returns a batch of cases by the server's names.
func (s *server) stack(e ends, cases []bundle.Recorded) (tensor.Map, error) {
	inputs := tensor.Map{}
	stacked, err := bundle.Stack(cases)
	if err != nil {
		return nil, err
	}
	for name, t := range stacked {
		if sent := e.inputs[name]; sent != "" {
			inputs[sent] = t
		}
	}
	if e.picture != "" {
		inputs[e.picture] = pictures(cases)
	}
	return inputs, nil
}

func (s *server) infer(c *client.Client, e ends) func(context.Context, []bundle.Recorded) ([]row, error) {
	return func(ctx context.Context, cases []bundle.Recorded) ([]row, error) {
		inputs, err := s.stack(e, cases)
		if err != nil {
			return nil, err
		}
		given, err := c.Infer(ctx, s.o.Model, inputs)
		if err != nil {
			return nil, err
		}
		outputs, err := e.named(s.manifest, given)
		if err != nil {
			return nil, err
		}
		return rows(outputs, len(cases))
	}
}

// classes asks by the classification extension for the best label of each case.
func (s *server) classes(e ends) func(context.Context, []bundle.Recorded) ([]row, error) {
	return func(ctx context.Context, cases []bundle.Recorded) ([]row, error) {
		inputs, err := s.stack(e, cases)
		if err != nil {
			return nil, err
		}
		body := []byte(`{"inputs":[`)
		for i, name := range slices.Sorted(maps.Keys(inputs)) {
			t := inputs[name]
			if texts, err := tensor.Values[string](t); err == nil && name == e.picture {
				coded := make([]string, len(texts))
				for i, text := range texts {
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
		body = tensor.AppendText(append(body, `],"outputs":[{"name":`...), s.manifest.Outputs[0].Name)
		body = append(body, `,"parameters":{"classification":1}}]}`...)
		answer, err := s.plain.Call(ctx, http.MethodPost, "v2/models/"+s.o.Model+"/infer", "application/json", body)
		if err != nil {
			return nil, err
		}
		var said struct {
			Outputs []struct {
				Data []string `json:"data"`
			} `json:"outputs"`
		}
		if err := json.Unmarshal(answer, &said); err != nil {
			return nil, fmt.Errorf("the answer is not that of an inference: %w", err)
		}
		if len(said.Outputs) != 1 {
			return nil, fmt.Errorf("the answer has %d outputs, one was asked for", len(said.Outputs))
		}
		list := make([]row, len(said.Outputs[0].Data))
		for i, text := range said.Outputs[0].Data {
			parts := strings.SplitN(text, ":", 3)
			if len(parts) < 3 {
				return nil, fmt.Errorf("%q is not VALUE:INDEX:LABEL", text)
			}
			list[i].label = &parts[2]
		}
		return list, nil
	}
}
