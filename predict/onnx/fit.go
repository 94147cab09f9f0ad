//go:build cgo

package onnx

// What the binding cannot pass as it is: a run without inputs, scalar strings, 16-bit floats, and
// results that may turn out to be scalars. A graph with such ends is given others, which it can pass, by
// nodes that change no value.

import (
	"fmt"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict/internal/onnxends"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// fitted is a graph as the binding sees it.
type fitted struct {
	model   []byte
	in, out []string // the names of its ends
	inputs  []passing
	outputs []passing
}

// passing is how an input or an output of the graph is passed.
type passing int

const (
	asItIs    passing = iota
	asFloat32         // an input: Cast makes the 16-bit float of it
	asList            // an input: a scalar string in a list of one
	flat              // an output: its elements in one list, 16-bit floats as float32, and its shape beside them
)

const (
	unused = "forgo.unused" // the input of a graph that has none
	given  = "forgo.given."
	taken  = "forgo.taken."
)

// fit gives a graph the ends that it needs. Most graphs stay as they are.
func fit(model []byte, info Info) (fitted, error) {
	f := fitted{model: model}
	var first, last graphBytes
	replaced := map[string]bool{}
	for _, in := range info.Inputs {
		how, name := passInput(in), in.Name
		switch how {
		case asFloat32:
			name = given + in.Name
			first.node("Cast", []string{name}, in.Name, attribute("to", number(in.DType)))
			first.end(11, name, tensor.Float32, in.Shape)
		case asList:
			name = given + in.Name
			first.node("Constant", nil, name+".shape", shapeAttribute())
			first.node("Reshape", []string{name, name + ".shape"}, in.Name)
			first.end(11, name, tensor.String, []int64{1})
		}
		replaced[in.Name] = how != asItIs
		f.inputs, f.in = append(f.inputs, how), append(f.in, name)
	}
	if len(info.Inputs) == 0 {
		first.end(11, unused, tensor.Float32, []int64{1})
		f.in = append(f.in, unused)
	}
	for _, out := range info.Outputs {
		how, names := passOutput(out, info.Inputs), []string{out.Name}
		if how == flat {
			name, from, dtype := taken+out.Name, out.Name, out.DType
			if isHalf(dtype) {
				dtype = tensor.Float32
				last.node("Cast", []string{from}, name+".wide", attribute("to", number(dtype)))
				from = name + ".wide"
			}
			last.node("Constant", nil, name+".flat", shapeAttribute(-1))
			last.node("Reshape", []string{from, name + ".flat"}, name)
			last.node("Shape", []string{out.Name}, name+".shape")
			last.end(12, name, dtype, []int64{-1})
			last.end(12, name+".shape", tensor.Int64, []int64{-1})
			names = []string{name, name + ".shape"}
		}
		f.outputs, f.out = append(f.outputs, how), append(f.out, names...)
	}
	if len(first) == 0 && len(last) == 0 {
		return f, nil
	}
	rest, err := without(model, replaced)
	if err != nil {
		return f, fmt.Errorf("not a complete ONNX model: %w", err)
	}
	if _, ok := info.Opsets["ai.onnx"]; !ok {
		rest = field(rest, 8, protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 13))
	}
	// A message that is there again is merged: nodes before and after those that the graph has.
	f.model = append(field(nil, 7, first), rest...)
	f.model = field(f.model, 7, last)
	return f, nil
}

func passInput(s tensor.Spec) passing {
	switch {
	case isHalf(s.DType):
		return asFloat32
	case s.DType == tensor.String && s.Shape != nil && len(s.Shape) == 0:
		return asList
	}
	return asItIs
}

func passOutput(s tensor.Spec, inputs []tensor.Spec) passing {
	// An output that is an input has no place of its own, which a scalar needs.
	through := slices.ContainsFunc(inputs, func(in tensor.Spec) bool { return in.Name == s.Name })
	if isHalf(s.DType) || s.Shape == nil || len(s.Shape) == 0 && (s.DType == tensor.String || through) {
		return flat
	}
	return asItIs
}

func isHalf(d tensor.DType) bool { return d == tensor.Float16 || d == tensor.BFloat16 }

// slot is where an output of the graph is among the binding's.
func (f fitted) slot(output int) int {
	at := 0
	for _, how := range f.outputs[:output] {
		at++
		if how == flat {
			at++
		}
	}
	return at
}

// pass makes the binding's value of an input.
func (f fitted) pass(input int, t tensor.Tensor) (ort.Value, error) {
	switch f.inputs[input] {
	case asFloat32:
		wide := make([]float32, t.Len())
		switch data := t.Data.(type) {
		case []tensor.Half:
			for i, x := range data {
				wide[i] = x.Float32()
			}
		case []tensor.Brain:
			for i, x := range data {
				wide[i] = x.Float32()
			}
		}
		return toValue(tensor.Tensor{Shape: t.Shape, Data: wide})
	case asList:
		if len(t.Shape) == 0 {
			t.Shape = []int64{1}
		}
	}
	return toValue(t)
}

// unflat makes an output of its elements and its shape.
func unflat(dtype tensor.DType, elements, shape ort.Value) (tensor.Tensor, error) {
	t, err := fromValue(elements)
	if err != nil {
		return t, err
	}
	sizes, err := fromValue(shape)
	if err != nil {
		return t, err
	}
	if t.Shape, err = tensor.Values[int64](sizes); err != nil {
		return t, err
	}
	wide, _ := t.Data.([]float32)
	switch dtype {
	case tensor.Float16:
		narrow := make([]tensor.Half, len(wide))
		for i, x := range wide {
			narrow[i] = tensor.HalfOf(float64(x))
		}
		t.Data = narrow
	case tensor.BFloat16:
		narrow := make([]tensor.Brain, len(wide))
		for i, x := range wide {
			narrow[i] = tensor.BrainOf(float64(x))
		}
		t.Data = narrow
	}
	return t, t.Check()
}

// graphBytes are fields of a GraphProto.
type graphBytes []byte

func (g *graphBytes) node(op string, in []string, out string, attributes ...[]byte) {
	var b []byte
	for _, name := range in {
		b = field(b, 1, []byte(name))
	}
	b = field(b, 2, []byte(out))
	b = field(b, 3, []byte("forgo."+op+"."+out))
	b = field(b, 4, []byte(op))
	for _, a := range attributes {
		b = field(b, 5, a)
	}
	*g = field(*g, 1, b)
}

// end adds an input (11) or an output (12).
func (g *graphBytes) end(kind protowire.Number, name string, dtype tensor.DType, shape []int64) {
	t := varint(nil, 1, number(dtype))
	if shape != nil {
		var sizes []byte
		for _, d := range shape {
			var size []byte
			if d > 0 {
				size = varint(nil, 1, uint64(d))
			}
			sizes = field(sizes, 1, size)
		}
		t = field(t, 2, sizes)
	}
	*g = field(*g, kind, field(field(nil, 1, []byte(name)), 2, field(nil, 1, t)))
}

func attribute(name string, value uint64) []byte {
	return varint(varint(field(nil, 1, []byte(name)), 3, value), 20, 2) // an INT
}

// shapeAttribute is the value of a Constant: an int64 list.
func shapeAttribute(sizes ...int64) []byte {
	value := varint(varint(nil, 1, uint64(len(sizes))), 2, number(tensor.Int64))
	for _, d := range sizes {
		value = varint(value, 7, uint64(d))
	}
	return varint(field(field(nil, 1, []byte("value")), 5, value), 20, 4) // a TENSOR
}

// number is TensorProto.DataType's.
func number(dtype tensor.DType) uint64 {
	for n, d := range onnxends.DTypes {
		if d == dtype {
			return n
		}
	}
	return 0
}

func field(to []byte, n protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, n, protowire.BytesType), value)
}

func varint(to []byte, n protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, n, protowire.VarintType), value)
}

// without copies a model, but for the inputs of its graph that have one of the names.
func without(model []byte, names map[string]bool) ([]byte, error) {
	return filter(model, func(n protowire.Number, value []byte) ([]byte, bool, error) {
		if n != 7 {
			return value, true, nil
		}
		graph, err := filter(value, func(n protowire.Number, value []byte) ([]byte, bool, error) {
			if n != 11 {
				return value, true, nil
			}
			s, _, err := valueInfo(value)
			return value, !names[s.Name], err
		})
		return graph, true, err
	})
}

// filter copies a message. keep is asked for each field that is a message, text or bytes.
func filter(message []byte, keep func(protowire.Number, []byte) ([]byte, bool, error)) (out []byte, err error) {
	for len(message) > 0 {
		n, kind, head := protowire.ConsumeTag(message)
		if head < 0 {
			return nil, protowire.ParseError(head)
		}
		size := protowire.ConsumeFieldValue(n, kind, message[head:])
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		whole := message[:head+size]
		message = message[head+size:]
		if kind != protowire.BytesType {
			out = append(out, whole...)
			continue
		}
		value, _ := protowire.ConsumeBytes(whole[head:])
		kept, ok, err := keep(n, value)
		if err != nil {
			return nil, err
		}
		if ok {
			out = field(out, n, kept)
		}
	}
	return out, nil
}
