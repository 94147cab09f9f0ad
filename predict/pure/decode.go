package pure

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// graph is an ONNX model as in its file.
type graph struct {
	opsets          map[string]int // by domain; "" is ONNX's own
	nodes           []*node
	constants       map[string]*value
	inputs, outputs []onnxformat.Value
	depth           int // of a body: how many bodies are around it
	parts           *parts
}

// parts bounds the remaining parts of a file's graphs. A part takes at least two bytes of the file, and
// hundreds in memory.
type parts struct{ nodes, others int }

const (
	maxNodes  = 1 << 16
	maxOthers = 1 << 20
)

func (p *parts) node() error {
	if p.nodes--; p.nodes < 0 {
		return fmt.Errorf("it has more than %d nodes", maxNodes)
	}
	return nil
}

func (p *parts) other() error {
	if p.others--; p.others < 0 {
		return fmt.Errorf("it has more than %d attributes, inputs, outputs and weights", maxOthers)
	}
	return nil
}

// node is a step of a graph.
type node struct {
	domain, op, name string
	in, out          []string
	attributes       map[string]attribute

	version  int // of the node's domain, in this model
	constant []*value
	bodies   []*body
	memory   *memory // for what is computed once

	// What prepare finds out for fuse.
	layer *layer // nil unless it multiplies by a constant
	loops *loops // of a function of its first input, element by element; nil if it is none
}

// attribute is a setting of a node.
type attribute struct {
	f       float32
	i       int64
	s       string
	t       *value
	g       *graph
	floats  []float32
	ints    []int64
	strings []string
}

// errOutside means that a model keeps data outside its file.
var errOutside = errors.New("it keeps data outside of the file, which is not supported: save it as one file")

// decode reads a model. The field numbers are those of onnx.proto
// (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). A field that is not known here may
// change what a graph means, so it is refused; those that only describe are passed over.
func decode(model []byte) (*graph, error) {
	g := &graph{opsets: map[string]int{}, constants: map[string]*value{}, parts: &parts{maxNodes, maxOthers}}
	var body []byte
	err := wire.Fields(model, func(f wire.Field) error {
		switch f.Number {
		case 1, 2, 3, 4, 5, 6, 14: // versions, producer, domain, doc, metadata
		case 7:
			body = f.Bytes
		case 8:
			return g.opset(f.Bytes)
		case 25:
			return errors.New("model-local functions are not supported")
		default:
			return unknown("ModelProto", f)
		}
		return nil
	})
	if err == nil && body == nil {
		err = errors.New("it has no graph")
	}
	if err == nil {
		err = g.body(body)
	}
	if err == nil && len(g.outputs) == 0 {
		err = errors.New("its graph has no outputs")
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

func unknown(message string, f wire.Field) error {
	return fmt.Errorf("%s has a field %d that is not supported", message, f.Number)
}

func (g *graph) opset(b []byte) error {
	domain, version := "", 0
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			domain = string(f.Bytes)
		case 2:
			version = int(f.Varint)
		}
		return nil
	})
	if domain == "ai.onnx" {
		domain = ""
	}
	g.opsets[domain] = version
	return err
}

func (g *graph) body(b []byte) error {
	return wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			if err := g.parts.node(); err != nil {
				return err
			}
			n, err := decodeNode(f.Bytes, g)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			if err := g.parts.other(); err != nil {
				return err
			}
			name, t, err := decodeTensor(f.Bytes)
			if err != nil {
				return fmt.Errorf("initializer %s: %w", tensor.Quote(name), err)
			}
			g.constants[name], err = constant(t)
			return err
		case 11, 12:
			if err := g.parts.other(); err != nil {
				return err
			}
			v, err := decodeValue(f.Bytes, g.depth > 0)
			if err != nil {
				return err
			}
			if f.Number == 11 {
				g.inputs = append(g.inputs, v)
			} else {
				g.outputs = append(g.outputs, v)
			}
		case 2, 10, 13, 14, 16: // name, doc, types of values inside, quantization notes, metadata
		default:
			return unknown("GraphProto", f)
		}
		return nil
	})
}

func decodeNode(b []byte, of *graph) (*node, error) {
	n := &node{attributes: map[string]attribute{}}
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			n.in = append(n.in, string(f.Bytes))
		case 2:
			n.out = append(n.out, string(f.Bytes))
		case 3:
			n.name = string(f.Bytes)
		case 4:
			n.op = string(f.Bytes)
		case 5:
			return n.attribute(f.Bytes, of)
		case 6, 9, 10: // doc, metadata, device notes
		case 7:
			if n.domain = string(f.Bytes); n.domain == "ai.onnx" {
				n.domain = ""
			}
		default:
			return unknown("NodeProto", f)
		}
		return nil
	})
	return n, err
}

func (n *node) attribute(b []byte, of *graph) error {
	if err := of.parts.other(); err != nil {
		return err
	}
	var a attribute
	name := ""
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			name = string(f.Bytes)
		case 2:
			a.f = math.Float32frombits(uint32(f.Varint))
		case 3:
			a.i = int64(f.Varint)
		case 4:
			a.s = string(f.Bytes)
		case 5:
			_, t, err := decodeTensor(f.Bytes)
			if err != nil {
				return err
			}
			a.t, err = constant(t)
			return err
		case 6:
			if of.depth >= maxDepth {
				return fmt.Errorf("graphs are nested more than %d deep", maxDepth)
			}
			a.g = &graph{constants: map[string]*value{}, depth: of.depth + 1, parts: of.parts}
			return a.g.body(f.Bytes)
		case 7:
			return packed32(f, func(x uint32) { a.floats = append(a.floats, math.Float32frombits(x)) })
		case 8:
			a.ints = slices.Grow(a.ints, varints(f))
			return packedVarints(f, func(x uint64) { a.ints = append(a.ints, int64(x)) })
		case 9:
			a.strings = append(a.strings, string(f.Bytes))
		case 13, 20: // doc, kind: told by the field that is there
		default: // lists of graphs, types, sparse tensors, references to a function's attributes
			return unknown("AttributeProto", f)
		}
		return nil
	})
	n.attributes[name] = a
	if err != nil {
		return fmt.Errorf("attribute %s of %s: %w", tensor.Quote(name), n.op, err)
	}
	return nil
}

// packed32 reads a field of four-byte numbers, one or many.
func packed32(f wire.Field, visit func(uint32)) error {
	if f.Bytes == nil {
		visit(uint32(f.Varint))
		return nil
	}
	if len(f.Bytes)%4 != 0 {
		return errors.New("packed numbers are cut short")
	}
	for b := f.Bytes; len(b) > 0; b = b[4:] {
		visit(binary.LittleEndian.Uint32(b))
	}
	return nil
}

// packed64 is packed32 for eight-byte numbers.
func packed64(f wire.Field, visit func(uint64)) error {
	if f.Bytes == nil {
		visit(f.Varint)
		return nil
	}
	if len(f.Bytes)%8 != 0 {
		return errors.New("packed numbers are cut short")
	}
	for b := f.Bytes; len(b) > 0; b = b[8:] {
		visit(binary.LittleEndian.Uint64(b))
	}
	return nil
}

// varints returns how many varints a field contains.
func varints(f wire.Field) int {
	n := 0
	for _, b := range f.Bytes {
		n += int(^b >> 7) // the last byte of each
	}
	return n
}

// packedVarints is packed32 for numbers of varying length.
func packedVarints(f wire.Field, visit func(uint64)) error {
	if f.Bytes == nil {
		visit(f.Varint)
		return nil
	}
	for b := f.Bytes; len(b) > 0; {
		x, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		visit(x)
		b = b[n:]
	}
	return nil
}

// decodeTensor reads a weight, whose elements are in raw_data or in the field of its type.
func decodeTensor(b []byte) (name string, t tensor.Tensor, err error) {
	var raw []byte
	var bits []uint64 // of elements in a typed field
	var strs []string
	var dtype tensor.DType
	t.Shape = []int64{}
	hasRaw := false
	err = wire.Fields(b, func(f wire.Field) error {
		wide := func(x uint64) { bits = append(bits, x) }
		switch f.Number {
		case 1:
			return packedVarints(f, func(x uint64) { t.Shape = append(t.Shape, int64(x)) })
		case 2:
			dtype = onnxformat.DTypes[f.Varint]
		case 4:
			return packed32(f, func(x uint32) { wide(uint64(x)) })
		case 5, 7, 11:
			bits = slices.Grow(bits, varints(f))
			return packedVarints(f, wide)
		case 6:
			strs = append(strs, string(f.Bytes))
		case 8:
			name = string(f.Bytes)
		case 9:
			raw, hasRaw = f.Bytes, true
		case 10:
			return packed64(f, wide)
		case 12, 16: // doc, metadata
		case 13, 14:
			return errOutside
		default:
			return unknown("TensorProto", f)
		}
		return nil
	})
	if err != nil {
		return name, t, err
	}
	if dtype == "" {
		return name, t, errors.New("its element type is not supported")
	}
	if hasRaw {
		t, err = tensor.FromBytes(dtype, append([]byte{}, raw...), t.Shape...)
		return name, t, err
	}
	t.Data = fromBits(dtype, bits, strs)
	return name, t, t.Check()
}

// fromBits converts the numbers in a typed field to elements. Their lower bits count.
func fromBits(dtype tensor.DType, bits []uint64, strs []string) any {
	switch dtype {
	case tensor.Bool:
		return each(bits, func(x uint64) bool { return x != 0 })
	case tensor.Int8:
		return each(bits, func(x uint64) int8 { return int8(x) })
	case tensor.Int16:
		return each(bits, func(x uint64) int16 { return int16(x) })
	case tensor.Int32:
		return each(bits, func(x uint64) int32 { return int32(x) })
	case tensor.Int64:
		return each(bits, func(x uint64) int64 { return int64(x) })
	case tensor.Uint8:
		return each(bits, func(x uint64) uint8 { return uint8(x) })
	case tensor.Uint16:
		return each(bits, func(x uint64) uint16 { return uint16(x) })
	case tensor.Uint32:
		return each(bits, func(x uint64) uint32 { return uint32(x) })
	case tensor.Uint64:
		return bits
	case tensor.Float16:
		return each(bits, func(x uint64) tensor.Float16Bits { return tensor.Float16Bits(x) })
	case tensor.BFloat16:
		return each(bits, func(x uint64) tensor.BFloat16Bits { return tensor.BFloat16Bits(x) })
	case tensor.Float32:
		return each(bits, func(x uint64) float32 { return math.Float32frombits(uint32(x)) })
	case tensor.Float64:
		return each(bits, math.Float64frombits)
	case tensor.String:
		return append([]string{}, strs...)
	}
	return nil
}

func each[T any](bits []uint64, make1 func(uint64) T) []T {
	out := make([]T, len(bits))
	for i, x := range bits {
		out[i] = make1(x)
	}
	return out
}

// decodeValue reads an input or output. Those of bodies may omit their type, which follows from the graphs
// around it.
func decodeValue(b []byte, ofBody bool) (onnxformat.Value, error) {
	v, err := onnxformat.ReadValue(b)
	switch {
	case err != nil || ofBody:
		return v, err
	case v.Kind != onnxformat.Tensor:
		return v, fmt.Errorf("its input or output %s is not a tensor", tensor.Quote(v.Name))
	case v.DType == "":
		return v, fmt.Errorf("its input or output %s has an element type that is not supported", tensor.Quote(v.Name))
	}
	return v, nil
}
