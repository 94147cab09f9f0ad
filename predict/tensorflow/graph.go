package tensorflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// choose returns the graph with exactly these tags, or the only graph if tags is empty.
func choose(graphs []MetaGraph, tags []string) (*MetaGraph, error) {
	want := slices.Sorted(slices.Values(tags))
	var have []string
	for i, g := range graphs {
		if slices.ContainsFunc(graphs[:i], func(other MetaGraph) bool { return slices.Equal(other.Tags, g.Tags) }) {
			return nil, fmt.Errorf("it has two graphs with the tags [%s]", strings.Join(g.Tags, ", "))
		}
	}
	for i, g := range graphs {
		if slices.Equal(g.Tags, want) || (len(want) == 0 && len(graphs) == 1) {
			return &graphs[i], nil
		}
		have = append(have, "["+strings.Join(g.Tags, ", ")+"]")
	}
	if len(want) == 0 {
		return nil, fmt.Errorf("it has %d graphs, choose one by its tags: %s", len(have), strings.Join(have, ", "))
	}
	return nil, fmt.Errorf("it has no graph with the tags [%s], only %s", strings.Join(want, ", "), strings.Join(have, ", "))
}

// DefaultSignature is TensorFlow's name for the default signature.
const DefaultSignature = "serving_default"

// signature returns the named signature. Without a name, it returns the default or the only one, or nil if
// that leaves a choice.
func (g *MetaGraph) signature(name string) (*SignatureDef, error) {
	wanted := name
	if name == "" {
		wanted = DefaultSignature
	}
	var have []string
	for i, s := range g.Signatures {
		if s.Name == wanted {
			return &g.Signatures[i], nil
		}
		have = append(have, s.Name)
	}
	switch {
	case name == "" && len(have) == 1:
		return &g.Signatures[0], nil
	case name == "":
		return nil, nil
	case len(have) == 0:
		return nil, fmt.Errorf("it has no signature %q, nor any other: name its inputs and outputs instead", name)
	}
	return nil, fmt.Errorf("it has no signature %q, only %s", name, list(have))
}

// choose returns the chosen inputs and outputs. Their names are those of the signature, or of operations,
// with ":INDEX" unless the index is 0.
func (g *MetaGraph) choose(want predict.Graph) (inputs, outputs []NamedTensor, err error) {
	s, err := g.signature(want.Signature)
	if err != nil {
		return nil, nil, err
	}
	if s == nil {
		s = &SignatureDef{}
	}
	if inputs, err = g.pick("input", want.Inputs, s.Inputs, g.Placeholders, len(s.Outputs) > 0); err != nil {
		return nil, nil, err
	}
	outputs, err = g.pick("output", want.Outputs, s.Outputs, g.Results, len(s.Outputs) > 0)
	return inputs, outputs, err
}

func (g *MetaGraph) pick(kind string, names []string, signed []NamedTensor, others []tensor.Spec, hasSignature bool) ([]NamedTensor, error) {
	if len(names) == 0 {
		switch {
		case hasSignature:
			for _, e := range signed {
				if e.Tensor == "" {
					return nil, fmt.Errorf("%s %q is a sparse or composite tensor, which is not supported", kind, e.Name)
				}
			}
			return signed, nil
		case len(g.Signatures) > 0:
			var have []string
			for _, s := range g.Signatures {
				have = append(have, s.Name)
			}
			return nil, fmt.Errorf("choose one of its signatures: %s", list(have))
		}
		return nil, fmt.Errorf("it has no signature that names its %ss: name them, among %s", kind, candidates(nil, others))
	}
	var out []NamedTensor
	for _, name := range names {
		if i := slices.IndexFunc(signed, func(e NamedTensor) bool { return e.Name == name && e.Tensor != "" }); i >= 0 {
			out = append(out, signed[i])
			continue
		}
		if operation, _ := split(name); g.nodes[operation] == nil {
			return nil, fmt.Errorf("it has no %s %q, only %s", kind, name, candidates(signed, others))
		}
		out = append(out, NamedTensor{Spec: tensor.Spec{Name: name}, Tensor: name})
	}
	return out, nil
}

// candidates lists possible names for an error message.
func candidates(signed []NamedTensor, others []tensor.Spec) string {
	var have []string
	for _, e := range signed {
		have = append(have, e.Name)
	}
	for _, s := range others {
		have = append(have, s.Name)
	}
	return list(have)
}

func list(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// split splits a tensor's name, "OPERATION:INDEX". The index 0 may be omitted.
func split(name string) (operation string, index int) {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		if n, err := strconv.Atoi(name[i+1:]); err == nil {
			return name[:i], n
		}
	}
	return name, 0
}

// findTensors finds the graph's own inputs and outputs.
func (g *MetaGraph) findTensors(order []*node) {
	saver, _ := split(g.savedPaths)
	consumers := map[string][]*node{}
	var reached []*node
	for _, n := range order {
		for _, in := range n.inputs {
			operation, _ := split(strings.TrimPrefix(in, "^"))
			consumers[operation] = append(consumers[operation], n)
		}
		if _, isAsset := g.assets[n.name]; n.op == "Placeholder" && n.name != saver && !isAsset {
			reached = append(reached, n)
			g.Placeholders = append(g.Placeholders, n.spec())
		}
	}
	depends := map[*node]bool{}
	for len(reached) > 0 {
		n := reached[len(reached)-1]
		reached = reached[:len(reached)-1]
		for _, c := range consumers[n.name] {
			if !depends[c] {
				depends[c] = true
				reached = append(reached, c)
			}
		}
	}
	for _, n := range order {
		if depends[n] && len(consumers[n.name]) == 0 && n.op != "NoOp" && !strings.HasPrefix(n.op, "Assign") {
			g.Results = append(g.Results, n.spec())
		}
	}
}

// spec returns the type and shape of the node's first output, as far as its attributes specify them. The
// type may be "".
func (n *node) spec() tensor.Spec {
	s := tensor.Spec{Name: n.name}
	for _, key := range []string{"dtype", "T", "DstT", "output_type", "out_type", "Tout"} {
		if attr := n.attrs[key]; attr != nil && s.DType == "" {
			s.DType = firstType(attr)
		}
	}
	for _, key := range []string{"_output_shapes", "shape"} {
		if attr := n.attrs[key]; attr != nil && s.Shape == nil {
			s.Shape = firstShape(attr)
		}
	}
	return s
}

// firstType reads an AttrValue with a type, or a list of them.
func firstType(attr []byte) (t tensor.DType) {
	_ = wire.Fields(attr, func(f wire.Field) error {
		switch f.Number {
		case 1:
			return wire.Fields(f.Bytes, func(f wire.Field) error {
				switch {
				case f.Number != 6 || t != "":
				case len(f.Bytes) > 0: // packed: each is one byte
					t = dtypeOf(uint64(f.Bytes[0]))
				default:
					t = dtypeOf(f.Varint)
				}
				return nil
			})
		case 6:
			t = dtypeOf(f.Varint)
		}
		return nil
	})
	return t
}

// firstShape reads an AttrValue with a shape, or a list of them.
func firstShape(attr []byte) (shape []int64) {
	_ = wire.Fields(attr, func(f wire.Field) error {
		switch f.Number {
		case 1:
			seen := false
			return wire.Fields(f.Bytes, func(f wire.Field) error {
				if f.Number == 7 && !seen {
					seen = true
					shape, _ = readShape(f.Bytes)
				}
				return nil
			})
		case 7:
			shape, _ = readShape(f.Bytes)
		}
		return nil
	})
	return shape
}
