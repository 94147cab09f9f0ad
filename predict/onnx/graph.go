package onnx

import (
	"errors"
	"fmt"
	"sort"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Info is what can be read of an ONNX file without running it.
type Info struct {
	Producer  string         `json:"producer,omitempty"`
	IRVersion int64          `json:"ir_version"`
	Opsets    map[string]int `json:"opsets"` // domain ("ai.onnx" for the default one) to version
	Inputs    []tensor.Spec  `json:"inputs"` // initializers left out
	Outputs   []tensor.Spec  `json:"outputs"`
	Ops       map[string]int `json:"operations"` // operation type, with its domain unless it is the default, to count
	// External lists the files, relative to the graph's folder, that hold weights.
	External []string `json:"external_data,omitempty"`

	initializers map[string]bool
	domains      map[string]bool
}

// Inspect reads the structure of an ONNX model: names, types, shapes and operations. Weights
// are passed over, so the cost does not grow with them. The field numbers are those of
// onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
func Inspect(model []byte) (Info, error) {
	g := Info{Opsets: map[string]int{}, Ops: map[string]int{}, initializers: map[string]bool{}, domains: map[string]bool{}}
	sawGraph := false
	err := fields(model, func(f field) error {
		switch f.number {
		case 1:
			g.IRVersion = int64(f.varint)
		case 2:
			g.Producer = string(f.bytes)
		case 7:
			sawGraph = true
			return g.graph(f.bytes, true)
		case 8:
			return g.opset(f.bytes)
		case 25: // a function that the model brings along
			return fields(f.bytes, func(f field) error {
				if f.number == 7 {
					return g.node(f.bytes)
				}
				if f.number == 10 {
					g.domains[string(f.bytes)] = true
				}
				return nil
			})
		}
		return nil
	})
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

func (g *Info) graph(b []byte, top bool) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			return g.node(f.bytes)
		case 5:
			name, err := g.tensor(f.bytes)
			if top {
				g.initializers[name] = true
			}
			return err
		case 11, 12:
			if !top {
				return nil
			}
			s, err := valueInfo(f.bytes)
			if f.number == 11 {
				g.Inputs = append(g.Inputs, s)
			} else {
				g.Outputs = append(g.Outputs, s)
			}
			return err
		case 15: // sparse initializer: values and indices
			return fields(f.bytes, func(f field) error {
				if f.number != 1 && f.number != 2 {
					return nil
				}
				name, err := g.tensor(f.bytes)
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
	err := fields(b, func(f field) error {
		if f.number == 1 && len(f.bytes) > 0 {
			domain = string(f.bytes)
		} else if f.number == 2 {
			version = int(f.varint)
		}
		return nil
	})
	g.Opsets[domain] = version
	return err
}

func (g *Info) node(b []byte) error {
	op, domain := "", ""
	err := fields(b, func(f field) error {
		switch f.number {
		case 4:
			op = string(f.bytes)
		case 7:
			domain = string(f.bytes)
		case 5: // attribute: tensors and graphs inside it count as well
			return fields(f.bytes, func(f field) error {
				switch f.number {
				case 5, 10:
					_, err := g.tensor(f.bytes)
					return err
				case 6, 11:
					return g.graph(f.bytes, false)
				}
				return nil
			})
		}
		return nil
	})
	if domain != "" && domain != "ai.onnx" {
		op = domain + "." + op
	}
	g.Ops[op]++
	return err
}

// tensor passes over a weight and notes where its data lies, if not in this file.
func (g *Info) tensor(b []byte) (name string, err error) {
	err = fields(b, func(f field) error {
		switch f.number {
		case 8:
			name = string(f.bytes)
		case 13:
			key, value := "", ""
			err := fields(f.bytes, func(f field) error {
				if f.number == 1 {
					key = string(f.bytes)
				} else if f.number == 2 {
					value = string(f.bytes)
				}
				return nil
			})
			if key == "location" {
				g.External = append(g.External, value)
			}
			return err
		}
		return nil
	})
	return name, err
}

// dtypes are TensorProto.DataType's numbers.
var dtypes = map[uint64]tensor.DType{
	1: tensor.Float32, 2: tensor.Uint8, 3: tensor.Int8, 4: tensor.Uint16, 5: tensor.Int16,
	6: tensor.Int32, 7: tensor.Int64, 8: tensor.String, 9: tensor.Bool, 10: tensor.Float16,
	11: tensor.Float64, 12: tensor.Uint32, 13: tensor.Uint64, 16: tensor.BFloat16,
}

func valueInfo(b []byte) (tensor.Spec, error) {
	s := tensor.Spec{Shape: []int64{}}
	err := fields(b, func(f field) error {
		if f.number == 1 {
			s.Name = string(f.bytes)
		}
		if f.number != 2 {
			return nil
		}
		return fields(f.bytes, func(f field) error { // TypeProto
			if f.number != 1 {
				return nil
			}
			return fields(f.bytes, func(f field) error { // its tensor type
				switch f.number {
				case 1:
					s.DType = dtypes[f.varint]
				case 2:
					return fields(f.bytes, func(f field) error { // a dimension
						size := int64(-1)
						err := fields(f.bytes, func(f field) error {
							if f.number == 1 && int64(f.varint) > 0 {
								size = int64(f.varint)
							}
							return nil
						})
						s.Shape = append(s.Shape, size)
						return err
					})
				}
				return nil
			})
		})
	})
	return s, err
}

type field struct {
	number protowire.Number
	varint uint64
	bytes  []byte // shared with the message
}

// fields calls visit for each field of a protobuf message.
func fields(b []byte, visit func(field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		f := field{number: number}
		switch kind {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}
