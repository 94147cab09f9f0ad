package replay

// The Open Inference Protocol, REST and gRPC.

import (
	"context"
	"slices"

	"github.com/forgo-ml/forgo/client"
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
	return forms
}

func (s *server) infer(c *client.Client, e ends) func(context.Context, []bundle.Recorded) ([]row, error) {
	return func(ctx context.Context, cases []bundle.Recorded) ([]row, error) {
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
