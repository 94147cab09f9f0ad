package replay

// What a protocol declares for the replay, and what the replay tells it about a server.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/client"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Protocol is a way to call a server.
type Protocol struct {
	// Name is the name that users give it, such as "oip-grpc".
	Name string
	// GRPC says that it needs a grpc:// or grpcs:// URL; other protocols need http:// or https://.
	GRPC bool
	// Forms returns the protocol's ways to send cases to a server. An error says why the server does not
	// offer its model in the protocol.
	Forms func(ctx context.Context, s *Server) ([]Form, error)
}

// Form is one of a protocol's ways to send cases and read the answers.
type Form struct {
	Name string
	// Alone says that a request holds only one case.
	Alone bool
	// Ask sends cases as one request and returns one row for each. Many goroutines call it at once.
	Ask func(ctx context.Context, cases []bundle.Recorded) ([]Row, error)
	// Of is the signature whose cases it sends. Optional: the bundle's own.
	Of *Signed
}

// Failed returns a single form that always fails with err, for a server whose metadata cannot be read.
func Failed(name string, err error) []Form {
	return []Form{{Name: name, Ask: func(context.Context, []bundle.Recorded) ([]Row, error) { return nil, err }}}
}

func overGRPC(url string) bool { return strings.HasPrefix(url, "grpc") }

// protocols returns the protocols to replay. It fails for an unknown name, and for a protocol without a URL.
func (o Options) protocols(urls []string) ([]Protocol, error) {
	if len(o.Only) == 0 {
		return o.Protocols, nil
	}
	var chosen []Protocol
	for _, name := range o.Only {
		i := slices.IndexFunc(o.Protocols, func(p Protocol) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown protocol %q; give one of %s", name, Names(o.Protocols))
		}
		p := o.Protocols[i]
		if !slices.ContainsFunc(urls, func(url string) bool { return overGRPC(url) == p.GRPC }) {
			scheme := "http"
			if p.GRPC {
				scheme = "grpc"
			}
			return nil, fmt.Errorf("protocol %s needs a URL that begins with %s://", name, scheme)
		}
	}
	for _, p := range o.Protocols {
		if slices.Contains(o.Only, p.Name) {
			chosen = append(chosen, p)
		}
	}
	return chosen, nil
}

// Names lists protocols for people: "a, b and c".
func Names(protocols []Protocol) string {
	var list []string
	for _, p := range protocols {
		list = append(list, p.Name)
	}
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
	return strings.Join(list, "")
}

// Server is one URL that cases are replayed against.
type Server struct {
	URL string
	// Model is the model's name on the server, with a version if the user asked for one.
	Model string
	// Manifest of the bundle whose cases are sent.
	Manifest *bundle.Manifest
	// Signed are the bundle's other signatures, for protocols that name them.
	Signed []Signed
	// Plain is a client that sends tensors in the protocol's core form, Binary one that sends binary data.
	Plain, Binary *client.Client
	// Who is the server's own metadata, or the zero value.
	Who client.Server
	// Known is the server's metadata for the model; KnownErr says why it is missing.
	Known    client.Metadata
	KnownErr error
	// Asked says that the user named the protocols.
	Asked bool

	options Options
	digest  string
}

// OverGRPC reports whether the server is called over gRPC.
func (s *Server) OverGRPC() bool { return overGRPC(s.URL) }

// IsForgo reports whether the server identifies itself as forgo.
func (s *Server) IsForgo() bool { return s.Who.Name == "forgo" }

// maxAnswer bounds an answer; golden cases have much shorter ones.
const maxAnswer = 64 << 20

// targets finds the protocols to replay.
func (s *Server) targets(ctx context.Context, protocols []Protocol) (targets []*target, closeClients func(), err error) {
	closeClients = func() {}
	options := client.Options{Header: s.options.Header, TLS: s.options.TLS, MaxAnswer: maxAnswer}
	if s.Binary, err = options.New(s.URL); err != nil {
		return nil, closeClients, err
	}
	options.Plain = true
	if s.Plain, err = options.New(s.URL); err != nil {
		return nil, closeClients, err
	}
	closeClients = func() {
		_ = s.Binary.Close()
		_ = s.Plain.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	if s.Known, s.KnownErr = s.Plain.Metadata(ctx, s.Model); silent(s.KnownErr) {
		return nil, closeClients, s.KnownErr
	}
	s.Who, _ = s.Plain.Server(ctx) // one that does not say is a stranger
	var refused []string
	for _, p := range protocols {
		if p.GRPC != s.OverGRPC() {
			continue
		}
		forms, err := p.Forms(ctx, s)
		if silent(err) {
			return nil, closeClients, err
		}
		if err != nil {
			refused = append(refused, fmt.Sprintf("%s: %v", p.Name, err))
			continue
		}
		targets = append(targets, s.target(p.Name, forms))
	}
	if len(refused) > 0 && (len(targets) == 0 || s.Asked) {
		return nil, closeClients, fmt.Errorf("%s does not offer model %q: %s", s.URL, s.Model, strings.Join(refused, "; "))
	}
	return targets, closeClients, nil
}

// target returns a protocol to replay. If a server reports its bundle, it must be this one.
func (s *Server) target(protocol string, forms []Form) *target {
	t := &target{Result: Result{URL: s.URL, Protocol: protocol, Server: strings.TrimSpace(s.Who.Name + " " + s.Who.Version), Forms: []string{}}, forms: forms}
	if s.Known.Digest != "" && s.Known.Digest != s.digest {
		t.Failure = &Failure{Protocol: protocol, ParityError: &predict.ParityError{
			Stage: predict.StageServe, Tolerance: s.Manifest.Tolerance.Model, Err: fmt.Errorf(
				"%s at %s answers with the bundle sha256:%.12s, this one is sha256:%.12s", protocol, s.URL, s.Known.Digest, s.digest),
		}}
	}
	return t
}

// Mapping maps a bundle's inputs and outputs to a server's. Servers may name a single input as they like.
type Mapping struct {
	Picture string            // the BYTES input that takes encoded pictures; "" where tensors are sent
	Inputs  map[string]string // the bundle's names to the server's; a picture's has none
	Outputs []string          // the bundle's that the server says it gives; nil where it says nothing
}

// Sent returns the server's name for an input of the bundle.
func (e Mapping) Sent(name string) string {
	if sent := e.Inputs[name]; sent != "" {
		return sent
	}
	return e.Picture
}

// Match maps a bundle's inputs and outputs to those that a server reports for its model. An error names an
// input that the server's model does not take.
func Match(m *bundle.Manifest, inputs, outputs []tensor.Spec) (Mapping, error) {
	e := Mapping{Inputs: map[string]string{}}
	for _, want := range m.Inputs {
		if len(inputs) == 0 { // a server that says nothing
			e.Inputs[want.Name] = want.Name
			continue
		}
		if m.Picture != nil && want.Name == m.Picture.Input {
			if i := slices.IndexFunc(inputs, encoded(m)); i >= 0 {
				e.Picture = inputs[i].Name
				continue
			}
		}
		i := slices.IndexFunc(inputs, func(s tensor.Spec) bool { return s.Name == want.Name })
		if i < 0 && len(inputs) == 1 && len(m.Inputs) == 1 {
			i = 0
		}
		if i < 0 {
			return e, fmt.Errorf("the server's model takes %s, which has no %q", names(inputs), want.Name)
		}
		if err := accepts(inputs[i], want.Spec()); err != nil {
			return e, err
		}
		e.Inputs[want.Name] = inputs[i].Name
	}
	for _, o := range m.Outputs {
		if slices.ContainsFunc(outputs, func(s tensor.Spec) bool { return s.Name == o.Name }) {
			e.Outputs = append(e.Outputs, o.Name)
		}
	}
	return e, nil
}

// encoded tells the input that takes encoded pictures: the only one may have any name.
func encoded(m *bundle.Manifest) func(tensor.Spec) bool {
	return func(s tensor.Spec) bool {
		return s.DType == tensor.String && len(s.Shape) < 3 && (m.PictureAlone() || s.Name == bundle.PictureName)
	}
}

// accepts says whether the server's input takes the bundle's tensors as they are. They are never
// transposed or reshaped to fit.
func accepts(has, want tensor.Spec) error {
	fits := (has.DType == "" || has.DType == want.DType) && (len(has.Shape) == 0 || len(has.Shape) == len(want.Shape))
	for i := 0; fits && i < len(has.Shape); i++ {
		fits = has.Shape[i] < 0 || want.Shape[i] < 0 || has.Shape[i] == want.Shape[i]
	}
	if !fits {
		return fmt.Errorf("the server's input %q is %s%v, the bundle's is %s%v", has.Name, has.DType, has.Shape, want.DType, want.Shape)
	}
	return nil
}

func names(specs []tensor.Spec) string {
	var quoted []string
	for _, s := range specs {
		quoted = append(quoted, fmt.Sprintf("%q", s.Name))
	}
	return strings.Join(quoted, ", ")
}

// Named gives a server's outputs the bundle's names.
func (e Mapping) Named(m *bundle.Manifest, answer tensor.Map) (tensor.Map, error) {
	out := tensor.Map{}
	var have []tensor.Spec
	for name, t := range answer {
		if slices.ContainsFunc(m.Outputs, func(o bundle.TensorInfo) bool { return o.Name == name }) {
			out[name] = t
		}
		have = append(have, tensor.Spec{Name: name})
	}
	if len(out) == 0 && len(answer) == 1 {
		return tensor.Map{m.Outputs[0].Name: answer[have[0].Name]}, nil
	}
	for _, name := range append(slices.Clone(e.Outputs), m.Outputs[0].Name) {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("the answer has no output %q, only %s", name, names(have))
		}
	}
	return out, nil
}

// Pictures returns the encoded pictures of cases as one string tensor, [cases].
func Pictures(cases []bundle.Recorded) tensor.Tensor {
	values := make([]string, len(cases))
	for i, c := range cases {
		values[i] = string(c.Picture)
	}
	return tensor.Tensor{Shape: []int64{int64(len(values))}, Data: values}
}
