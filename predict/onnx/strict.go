package onnx

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict/internal/wire"
)

// message is a message type: the types of its fields by number, or nil for fields that are not messages.
type message struct {
	name   string
	fields map[protowire.Number]*message
}

// The messages of onnx.proto (https://github.com/onnx/onnx/blob/v1.23.2/onnx/onnx.proto). Any other field
// may tell a newer runtime where to find data.
var (
	modelProto     = &message{name: "ModelProto"}
	graphProto     = &message{name: "GraphProto"}
	nodeProto      = &message{name: "NodeProto"}
	attributeProto = &message{name: "AttributeProto"}
	tensorProto    = &message{name: "TensorProto"}
	typeProto      = &message{name: "TypeProto"}
	functionProto  = &message{name: "FunctionProto"}
)

func init() {
	leaf := func(name string, numbers ...protowire.Number) *message {
		m := &message{name: name, fields: map[protowire.Number]*message{}}
		for _, n := range numbers {
			m.fields[n] = nil
		}
		return m
	}
	with := func(m *message, more map[protowire.Number]*message) *message {
		for n, kind := range more {
			m.fields[n] = kind
		}
		return m
	}
	entry := leaf("StringStringEntryProto", 1, 2)
	opset := leaf("OperatorSetIdProto", 1, 2)
	sparse := with(leaf("SparseTensorProto", 3), map[protowire.Number]*message{1: tensorProto, 2: tensorProto})
	shape := with(leaf("TensorShapeProto"), map[protowire.Number]*message{1: leaf("Dimension", 1, 2, 3)})
	array := with(leaf("TypeProto.Tensor", 1), map[protowire.Number]*message{2: shape})
	inner := with(leaf("TypeProto.Sequence"), map[protowire.Number]*message{1: typeProto})
	value := with(leaf("ValueInfoProto", 1, 3), map[protowire.Number]*message{2: typeProto, 4: entry})
	training := with(leaf("TrainingInfoProto"), map[protowire.Number]*message{1: graphProto, 2: graphProto, 3: entry, 4: entry})
	dimension := with(leaf("ShardedDimProto", 1), map[protowire.Number]*message{2: leaf("SimpleShardedDimProto", 1, 2, 3)})
	sharding := with(leaf("ShardingSpecProto", 1, 2), map[protowire.Number]*message{3: leaf("IntIntListEntryProto", 1, 2), 4: dimension})
	device := with(leaf("NodeDeviceConfigurationProto", 1, 3), map[protowire.Number]*message{2: sharding})

	modelProto.fields = with(leaf("", 1, 2, 3, 4, 5, 6), map[protowire.Number]*message{
		7: graphProto, 8: opset, 14: entry, 20: training, 25: functionProto, 26: leaf("DeviceConfigurationProto", 1, 2, 3),
	}).fields
	graphProto.fields = with(leaf("", 2, 10), map[protowire.Number]*message{
		1: nodeProto, 5: tensorProto, 11: value, 12: value, 13: value,
		14: with(leaf("TensorAnnotation", 1), map[protowire.Number]*message{2: entry}), 15: sparse, 16: entry,
	}).fields
	nodeProto.fields = with(leaf("", 1, 2, 3, 4, 6, 7, 8), map[protowire.Number]*message{5: attributeProto, 9: entry, 10: device}).fields
	attributeProto.fields = with(leaf("", 1, 2, 3, 4, 7, 8, 9, 13, 20, 21), map[protowire.Number]*message{
		5: tensorProto, 6: graphProto, 10: tensorProto, 11: graphProto, 14: typeProto, 15: typeProto, 22: sparse, 23: sparse,
	}).fields
	tensorProto.fields = with(leaf("", 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14), map[protowire.Number]*message{
		3: leaf("TensorProto.Segment", 1, 2), 13: entry, 16: entry,
	}).fields
	typeProto.fields = with(leaf("", 6), map[protowire.Number]*message{
		1: array, 4: inner, 5: with(leaf("TypeProto.Map", 1), map[protowire.Number]*message{2: typeProto}),
		7: leaf("TypeProto.Opaque", 1, 2), 8: array, 9: inner,
	}).fields
	functionProto.fields = with(leaf("", 1, 4, 5, 6, 8, 10, 13), map[protowire.Number]*message{
		7: nodeProto, 9: opset, 11: attributeProto, 12: value, 14: entry,
	}).fields
}

// walk visits every message in a message. It records data outside the file, and the first field that is
// not in onnx.proto.
func (g *Info) walk(m *message, b []byte, nesting int) error {
	if nesting == 0 {
		return errors.New("its messages are nested too deeply")
	}
	return wire.Fields(b, func(f wire.Field) error {
		inner, known := m.fields[f.Number]
		switch {
		case !known:
			if g.unknown == "" {
				g.unknown = fmt.Sprintf("field %d of %s", f.Number, m.name)
			}
			return nil
		case m == tensorProto && f.Number == 14 && f.Varint != 0: // data_location: not DEFAULT
			g.outside = true
		case m == tensorProto && f.Number == 13: // external_data
			g.outside = true
			key, value, err := wire.Entry(f.Bytes)
			if err != nil {
				return err
			}
			if key == "location" {
				g.External = append(g.External, string(value))
			}
		}
		if inner == nil {
			return nil
		}
		return g.walk(inner, f.Bytes, nesting-1)
	})
}
