package tfserving

// The choice of the signature that a request is for.

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

var errNoSignature = errors.New("no such signature")

// Signatures returns a model's signatures by name. Its own is also serving_default, unless another has
// that name.
func Signatures(m *served.Model) map[string]*served.Model {
	all := map[string]*served.Model{Signature: m}
	for _, s := range m.Signed() {
		all[own(s)] = s
	}
	if name := own(m); name != "" {
		all[name] = m
	}
	return all
}

// own returns the signature's name in its SavedModel, or "" if the graph has no signatures.
func own(m *served.Model) string { return m.Manifest().Graph.Signature }

// method returns the purpose of a signature.
func method(m *served.Model) string { return cmp.Or(m.Manifest().Graph.Method, bundle.Predict) }

// MethodOf returns TensorFlow's name for a signature's method.
func MethodOf(m *served.Model) string { return Method(method(m)) }

// choose returns the signature that a request names. "" is the model's own, and the verb's method names
// the one for that verb.
func choose(m *served.Model, name, verb string) (*served.Model, error) {
	all := Signatures(m)
	if s, ok := all[name]; ok {
		return s, nil
	}
	switch name {
	case "":
		return m, nil
	case Method(verb):
		if Answers(m, verb) == nil {
			return m, nil
		}
		for _, s := range m.Signed() {
			if Answers(s, verb) == nil {
				return s, nil
			}
		}
		return m, nil
	}
	names := append(slices.Sorted(maps.Keys(all)), Method(verb))
	return nil, fmt.Errorf("%s: %w, only %q", tensor.Quote(name), errNoSignature, names)
}

// Answers returns an error if a signature does not support a verb. All support predict.
func Answers(m *served.Model, verb string) error {
	manifest := m.Manifest()
	switch {
	case verb == bundle.Predict || method(m) == verb:
		return nil
	case verb == bundle.Classify && m.Classifier(), verb == bundle.Regress && (manifest.Task == bundle.Regression || manifest.Task == bundle.Ranking):
		return nil
	case len(m.Signed()) > 0 || method(m) != bundle.Predict || manifest.Task == bundle.Tensors && own(m) != "":
		return served.BadInput("%s: signature %s is for %s; %s", verb, tensor.Quote(cmp.Or(own(m), Signature)), method(m), instead(m, verb))
	}
	return served.BadInput("%s: the model's task is %s; use predict", verb, manifest.Task)
}

// instead says what a client may ask for.
func instead(m *served.Model, verb string) string {
	var names []string
	for _, s := range m.Signed() {
		if method(s) == verb {
			names = append(names, own(s))
		}
	}
	if len(names) == 0 {
		return "use " + method(m)
	}
	return fmt.Sprintf("name a signature for %s: %s", verb, tensor.Cut(fmt.Appendf(nil, "%q", names)))
}

// Examples returns the input that takes tf.Examples as bytes, for a signature of classify or regress.
func Examples(m *served.Model) (name string, ok bool) {
	inputs := m.Manifest().Inputs
	if m.Manifest().Graph.Method == "" || method(m) == bundle.Predict || len(inputs) != 1 || inputs[0].DType != tensor.String || len(inputs[0].Shape) != 1 {
		return "", false
	}
	return inputs[0].Name, true
}
