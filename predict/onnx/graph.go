package onnx

import (
	"errors"
	"fmt"
	"sort"

	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Info describes an ONNX file without running it.
type Info struct {
	Producer  string         `json:"producer,omitempty"`
	IRVersion int64          `json:"ir_version"`
	Opsets    map[string]int `json:"opsets"` // domain ("ai.onnx" for the default one) to version
	Inputs    []tensor.Spec  `json:"inputs"` // initializers left out
	Outputs   []tensor.Spec  `json:"outputs"`
	Ops       map[string]int `json:"operations"` // operation type, with its domain unless it is the default, to count
	// External lists the files that hold weights, relative to the graph's folder.
	External []string `json:"external_data,omitempty"`

	initializers map[string]bool
	dims         map[string][]string // the names of free dimensions, "" for others, by input or output
	kinds        map[string]string   // of inputs and outputs that are no tensors
	used         map[operation]bool
	functions    map[operation]bool // that the file itself defines
	long         bool               // whether an operation may take long, whatever its weights
	weights      [][2]string        // pairs of operands: one must be an initializer, or the graph counts as long
	outside      bool               // whether any data lies outside the file
	unknown      string             // a field that onnx.proto does not have
	nesting      int                // of graphs, while they are read
}

// operation is a type of node.
type operation struct{ domain, name string }

// Inspect reads the names, types, shapes and operators of an ONNX model. It skips weights, so its cost
// does not grow with them. The field numbers are those of onnx.proto
// (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
func Inspect(model []byte) (Info, error) {
	g := Info{Opsets: map[string]int{}, Ops: map[string]int{}, initializers: map[string]bool{}, dims: map[string][]string{}, kinds: map[string]string{}, used: map[operation]bool{}, functions: map[operation]bool{}}
	sawGraph := false
	err := wire.Fields(model, func(f wire.Field) error {
		switch f.Number {
		case 1:
			g.IRVersion = int64(f.Varint)
		case 2:
			g.Producer = string(f.Bytes)
		case 7:
			sawGraph = true
			return g.graph(f.Bytes, true)
		case 8:
			return g.opset(f.Bytes)
		case 25: // a function that the model brings along
			var made operation
			err := wire.Fields(f.Bytes, func(f wire.Field) error {
				switch f.Number {
				case 1:
					made.name = string(f.Bytes)
				case 7:
					return g.node(f.Bytes)
				case 10:
					made.domain = string(f.Bytes)
				}
				return nil
			})
			g.functions[made] = true
			return err
		}
		return nil
	})
	if err == nil {
		err = g.walk(modelProto, model, maxMessages)
	}
	if err != nil || !sawGraph || g.IRVersion == 0 || len(g.Outputs) == 0 {
		if err == nil {
			err = errors.New("it has no graph")
		}
		return Info{}, fmt.Errorf("not a complete ONNX model: %w", err)
	}
	var inputs []tensor.Spec
	for _, in := range g.Inputs {
		if !g.initializers[in.Name] {
			inputs = append(inputs, in)
		}
	}
	g.Inputs = inputs
	sort.Strings(g.External)
	return g, nil
}

// maxNesting exceeds the nesting of honest graphs. A message can nest as deep as it is long.
const maxNesting = 100

// maxMessages is the same bound for messages: a graph is in an attribute of a node of a graph.
const maxMessages = 3*maxNesting + 10

func (g *Info) graph(b []byte, top bool) error {
	if g.nesting == maxNesting {
		return errors.New("its graphs are nested too deeply")
	}
	g.nesting++
	defer func() { g.nesting-- }()
	return wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			return g.node(f.Bytes)
		case 5:
			name, err := tensorName(f.Bytes)
			if top {
				g.initializers[name] = true
			}
			return err
		case 11, 12:
			if !top {
				return nil
			}
			v, err := onnxformat.ReadValue(f.Bytes)
			if err != nil {
				return err
			}
			if v.Kind != onnxformat.Tensor {
				g.kinds[v.Name] = v.Kind
			}
			g.dims[v.Name] = v.Dims
			if f.Number == 11 {
				g.Inputs = append(g.Inputs, v.Spec)
			} else {
				g.Outputs = append(g.Outputs, v.Spec)
			}
			return nil
		case 15: // sparse initializer: values and indices
			return wire.Fields(f.Bytes, func(f wire.Field) error {
				if f.Number != 1 && f.Number != 2 {
					return nil
				}
				name, err := tensorName(f.Bytes)
				if top {
					g.initializers[name] = true
				}
				return err
			})
		}
		return nil
	})
}

func (g *Info) opset(b []byte) error {
	domain, version := "ai.onnx", 0
	err := wire.Fields(b, func(f wire.Field) error {
		if f.Number == 1 && len(f.Bytes) > 0 {
			domain = string(f.Bytes)
		} else if f.Number == 2 {
			version = int(f.Varint)
		}
		return nil
	})
	g.Opsets[domain] = version
	return err
}

func (g *Info) node(b []byte) error {
	op, domain := "", ""
	var inputs []string
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			inputs = append(inputs, string(f.Bytes))
		case 4:
			op = string(f.Bytes)
		case 7:
			domain = string(f.Bytes)
		case 5: // attribute: operations of graphs inside it count as well
			return wire.Fields(f.Bytes, func(f wire.Field) error {
				if f.Number == 6 || f.Number == 11 {
					return g.graph(f.Bytes, false)
				}
				return nil
			})
		}
		return nil
	})
	g.used[operation{domain, op}] = true
	g.shortOperation(operation{domain, op}, inputs)
	if domain != "" && domain != "ai.onnx" {
		op = domain + "." + op
	}
	g.Ops[op]++
	return err
}

// tensorName skips a weight and returns its name.
func tensorName(b []byte) (name string, err error) {
	err = wire.Fields(b, func(f wire.Field) error {
		if f.Number == 8 {
			name = string(f.Bytes)
		}
		return nil
	})
	return name, err
}
