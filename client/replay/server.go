package replay

// Which protocols a server speaks, and what its model takes and gives.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/client"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func overGRPC(url string) bool { return strings.HasPrefix(url, "grpc") }

func (p Protocol) overGRPC() bool { return p == OIPGRPC || p == TensorFlowGRPC }

// fits fails where a protocol has no URL that it is for.
func (o Options) fits(urls []string) error {
	if len(o.Protocols) == 0 {
		return nil
	}
	for _, p := range o.Protocols {
		if !slices.Contains([]Protocol{OIP, OIPGRPC, TensorFlow, TensorFlowGRPC, Native}, p) {
			return fmt.Errorf("there is no protocol %q; there are %s, %s, %s, %s and %s", p, OIP, OIPGRPC, TensorFlow, TensorFlowGRPC, Native)
		}
		if !slices.ContainsFunc(urls, func(url string) bool { return overGRPC(url) == p.overGRPC() }) {
			scheme := "http"
			if p.overGRPC() {
				scheme = "grpc"
			}
			return fmt.Errorf("protocol %s needs a URL that begins with %s://", p, scheme)
		}
	}
	return nil
}

// uses says whether one of the protocols asked for is for a URL.
func (o Options) uses(url string) bool {
	return len(o.Protocols) == 0 ||
		slices.ContainsFunc(o.Protocols, func(p Protocol) bool { return overGRPC(url) == p.overGRPC() })
}

// server is one URL.
type server struct {
	url      string
	o        Options
	manifest *bundle.Manifest
	digest   string

	plain, binary *client.Client
	who           client.Server // the zero value of a server that does not say
}

// maxAnswer bounds an answer, which no golden cases make so long.
const maxAnswer = 64 << 20

// targets finds the protocols to replay.
func (s *server) targets(ctx context.Context) (targets []*target, closeClients func(), err error) {
	closeClients = func() {}
	options := client.Options{Header: s.o.Header, TLS: s.o.TLS, MaxAnswer: maxAnswer}
	if s.binary, err = options.New(s.url); err != nil {
		return nil, closeClients, err
	}
	options.Plain = true
	if s.plain, err = options.New(s.url); err != nil {
		return nil, closeClients, err
	}
	closeClients = func() {
		_ = s.binary.Close()
		_ = s.plain.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	known, knownErr := s.plain.Metadata(ctx, s.o.Model)
	if silent(knownErr) {
		return nil, closeClients, knownErr
	}
	s.who, _ = s.plain.Server(ctx) // one that does not say is a stranger
	type candidate struct {
		protocol Protocol
		forms    func() ([]form, error)
	}
	candidates := []candidate{
		{OIP, func() ([]form, error) { return s.oipForms(known, "json", "binary"), knownErr }},
		{TensorFlow, func() ([]form, error) { return s.tensorFlowForms(ctx) }},
		{Native, func() ([]form, error) { return native{s}.forms(), s.hasNative(knownErr) }},
	}
	if overGRPC(s.url) {
		candidates = []candidate{
			{OIPGRPC, func() ([]form, error) { return s.oipForms(known, "contents", "raw"), knownErr }},
			{TensorFlowGRPC, func() ([]form, error) { return s.tensorFlowGRPCForms(ctx) }},
		}
	}
	var refused []string
	for _, p := range candidates {
		if !s.wants(p.protocol) {
			continue
		}
		forms, err := p.forms()
		if silent(err) {
			return nil, closeClients, err
		}
		if err != nil {
			refused = append(refused, fmt.Sprintf("%s: %v", p.protocol, err))
			continue
		}
		targets = append(targets, s.target(p.protocol, forms, known))
	}
	if len(refused) > 0 && (len(targets) == 0 || len(s.o.Protocols) > 0) {
		return nil, closeClients, fmt.Errorf("%s does not offer model %q: %s", s.url, s.o.Model, strings.Join(refused, "; "))
	}
	return targets, closeClients, nil
}

// hasNative fails for servers other than forgo's, unless their user knows better.
func (s *server) hasNative(known error) error {
	if len(s.o.Protocols) > 0 {
		return nil
	}
	if !s.isForgo() {
		return errors.New("the server is not forgo's")
	}
	return known
}

func (s *server) isForgo() bool { return s.who.Name == "forgo" }

func (s *server) wants(p Protocol) bool {
	return len(s.o.Protocols) == 0 || slices.Contains(s.o.Protocols, p)
}

// target is a protocol to replay. A server that tells which bundle it answers with is held to it.
func (s *server) target(p Protocol, forms []form, known client.Metadata) *target {
	t := &target{Result: Result{URL: s.url, Protocol: p, Server: strings.TrimSpace(s.who.Name + " " + s.who.Version), Forms: []string{}}, forms: forms}
	if known.Digest != "" && known.Digest != s.digest {
		t.Failure = &Failure{Protocol: p, ParityError: &predict.ParityError{
			Stage: predict.StageServe, Tolerance: s.manifest.Tolerance.Model, Err: fmt.Errorf(
				"%s at %s answers with the bundle sha256:%.12s, this one is sha256:%.12s", p, s.url, known.Digest, s.digest),
		}}
	}
	return t
}

// ends maps the bundle's inputs to the server's. Servers may name a single one as they like.
type ends struct {
	picture string            // the BYTES input that takes encoded pictures; "" where tensors are sent
	inputs  map[string]string // the bundle's names to the server's
	outputs []string          // the bundle's that the server says it gives; nil where it says nothing
}

func match(m *bundle.Manifest, inputs, outputs []tensor.Spec) (ends, error) {
	e := ends{inputs: map[string]string{}}
	for _, want := range m.Inputs {
		if len(inputs) == 0 { // a server that says nothing
			e.inputs[want.Name] = want.Name
			continue
		}
		if m.Picture != nil && want.Name == m.Picture.Input {
			if i := slices.IndexFunc(inputs, encoded(m)); i >= 0 {
				e.picture = inputs[i].Name
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
		e.inputs[want.Name] = inputs[i].Name
	}
	for _, o := range m.Outputs {
		if slices.ContainsFunc(outputs, func(s tensor.Spec) bool { return s.Name == o.Name }) {
			e.outputs = append(e.outputs, o.Name)
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

// named gives a server's outputs the bundle's names.
func (e ends) named(m *bundle.Manifest, given tensor.Map) (tensor.Map, error) {
	out := tensor.Map{}
	var have []tensor.Spec
	for name, t := range given {
		if slices.ContainsFunc(m.Outputs, func(o bundle.TensorInfo) bool { return o.Name == name }) {
			out[name] = t
		}
		have = append(have, tensor.Spec{Name: name})
	}
	if len(out) == 0 && len(given) == 1 {
		return tensor.Map{m.Outputs[0].Name: given[have[0].Name]}, nil
	}
	for _, name := range append(slices.Clone(e.outputs), m.Outputs[0].Name) {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("the answer has no output %q, only %s", name, names(have))
		}
	}
	return out, nil
}

// failed are the forms of a server whose model cannot be asked at all.
func failed(name string, err error) []form {
	return []form{{name: name, ask: func(context.Context, []bundle.Recorded) ([]row, error) { return nil, err }}}
}

// pictures are the encoded pictures of cases as one tensor.
func pictures(cases []bundle.Recorded) tensor.Tensor {
	texts := make([]string, len(cases))
	for i, c := range cases {
		texts[i] = string(c.Picture)
	}
	return tensor.Tensor{Shape: []int64{int64(len(texts))}, Data: texts}
}
