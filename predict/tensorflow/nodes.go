package tensorflow

// The nodes of a SavedModel's graph, and those of its functions.

import (
	"github.com/forgo-ml/forgo/predict/internal/wire"
)

type node struct {
	name, op string
	inputs   []string
	attrs    map[string][]byte // serialized AttrValue, shared with the message
}

type function struct {
	name  string
	args  []string
	attrs map[string]bool
	order []*node
	nodes map[string]*node // the same, by name
}

func (g *MetaGraph) readNode(b []byte) (*node, error) {
	n := node{attrs: map[string][]byte{}}
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			n.name = string(f.Bytes)
		case 2:
			n.op = string(f.Bytes)
		case 3:
			n.inputs = append(n.inputs, string(f.Bytes))
		case 5:
			key, value, err := wire.Entry(f.Bytes)
			n.attrs[key] = value
			return err
		}
		return nil
	})
	g.Ops[n.op]++
	if n.op == "Const" {
		g.constants += constantSize(n.attrs["value"])
	}
	return &n, err
}

// maxConstants bounds the memory of a graph's constants. A file has at most 2 GiB, but one number in it
// may stand for any number of elements.
const maxConstants = 2 << 30

// constantSize returns the memory of a constant in bytes.
func constantSize(attr []byte) int64 {
	size := int64(0)
	_ = wire.Fields(attr, func(f wire.Field) error {
		if f.Number != 8 { // TensorProto
			return nil
		}
		elements, each := int64(1), int64(16)
		_ = wire.Fields(f.Bytes, func(f wire.Field) error {
			switch f.Number {
			case 1:
				if e := dtypeOf(f.Varint).ElementSize(); e > 0 {
					each = int64(e)
				}
			case 2:
				shape, _ := readShape(f.Bytes)
				for _, d := range shape {
					elements = min(elements*min(max(d, 0), maxConstants+1), maxConstants+1) // no product overflows this
				}
			}
			return nil
		})
		size = elements * each
		return nil
	})
	return size
}

func (g *MetaGraph) library(b []byte) error {
	return wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			return g.function(f.Bytes)
		case 2: // GradientDef
			of, gradient := "", ""
			err := wire.Fields(f.Bytes, func(f wire.Field) error {
				switch f.Number {
				case 1:
					of = string(f.Bytes)
				case 2:
					gradient = string(f.Bytes)
				}
				return nil
			})
			g.gradients[of] = gradient
			return err
		}
		return nil
	})
}

func (g *MetaGraph) function(b []byte) error {
	made := function{attrs: map[string]bool{}, nodes: map[string]*node{}}
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			return wire.Fields(f.Bytes, func(f wire.Field) error { // OpDef
				switch f.Number {
				case 1:
					made.name = string(f.Bytes)
				case 2:
					arg, _, err := wire.Entry(f.Bytes) // its name is field 1, as a map's key is
					made.args = append(made.args, arg)
					return err
				}
				return nil
			})
		case 3:
			n, err := g.readNode(f.Bytes)
			made.nodes[n.name] = n
			made.order = append(made.order, n)
			return err
		case 5:
			key, _, err := wire.Entry(f.Bytes)
			made.attrs[key] = true
			return err
		}
		return nil
	})
	g.functions[made.name] = &made
	g.defs = append(g.defs, &made)
	return err
}
