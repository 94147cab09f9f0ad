package openapi

// JSON schemas of values, mainly of tensors.

import (
	"encoding/json"
	"math"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Schema is a JSON Schema of draft 2020-12, as OpenAPI 3.1 takes it.
type Schema struct {
	Ref              string           `json:"$ref,omitempty"`
	Title            string           `json:"title,omitempty"`
	Description      string           `json:"description,omitempty"`
	Type             any              `json:"type,omitempty"` // a name, or a list of them
	Format           string           `json:"format,omitempty"`
	ContentEncoding  string           `json:"contentEncoding,omitempty"`
	ContentMediaType string           `json:"contentMediaType,omitempty"`
	Const            any              `json:"const,omitempty"`
	Enum             []any            `json:"enum,omitempty"`
	Pattern          string           `json:"pattern,omitempty"`
	Minimum          any              `json:"minimum,omitempty"`
	Maximum          any              `json:"maximum,omitempty"`
	PrefixItems      []*Schema        `json:"prefixItems,omitempty"`
	Items            *Schema          `json:"items,omitempty"`
	Contains         *Schema          `json:"contains,omitempty"`
	MinItems         *int64           `json:"minItems,omitempty"`
	MaxItems         *int64           `json:"maxItems,omitempty"`
	Properties       Ordered[*Schema] `json:"properties,omitempty"`
	Patterns         Ordered[*Schema] `json:"patternProperties,omitempty"`
	Required         []string         `json:"required,omitempty"`
	Additional       *Schema          `json:"additionalProperties,omitempty"`
	AllOf            []*Schema        `json:"allOf,omitempty"`
	AnyOf            []*Schema        `json:"anyOf,omitempty"`
	OneOf            []*Schema        `json:"oneOf,omitempty"`

	no bool // nothing meets it
}

// Never returns a schema that nothing satisfies.
func Never() *Schema { return &Schema{no: true} }

// MarshalJSON writes Never's schema as false.
func (s *Schema) MarshalJSON() ([]byte, error) {
	if s.no {
		return []byte("false"), nil
	}
	type plain Schema
	return json.Marshal((*plain)(s))
}

// Text returns the schema of a string.
func Text() *Schema { return &Schema{Type: "string"} }

// Boolean returns the schema of true or false.
func Boolean() *Schema { return &Schema{Type: "boolean"} }

// Constant returns the schema of a single value.
func Constant(v any) *Schema { return &Schema{Const: v} }

// About sets the description of s and returns s.
func About(s *Schema, description string) *Schema {
	s.Description = description
	return s
}

// Count returns the schema of an integer from 0.
func Count() *Schema { return &Schema{Type: "integer", Minimum: 0} }

// OneOfStrings returns the schema of a string that is one of several.
func OneOfStrings(values []string) *Schema {
	s := &Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

// OrNull makes s accept null, and returns s.
func OrNull(s *Schema) *Schema {
	s.Type = []any{s.Type, "null"}
	return s
}

// List returns the schema of an array. A negative most is no bound.
func List(items *Schema, least, most int64) *Schema {
	s := &Schema{Type: "array", Items: items}
	if least > 0 {
		s.MinItems = &least
	}
	if most >= 0 {
		s.MaxItems = &most
	}
	return s
}

// Property returns a field of an object's schema.
func Property(name string, s *Schema) Field[*Schema] { return Field[*Schema]{name, s} }

// Object returns the schema of an object with all the properties, and possibly others.
func Object(properties ...Field[*Schema]) *Schema {
	s := &Schema{Type: "object", Properties: properties}
	for _, p := range properties {
		s.Required = append(s.Required, p.Name)
	}
	return s
}

// With adds optional properties.
func (s *Schema) With(properties ...Field[*Schema]) *Schema {
	s.Properties = append(s.Properties, properties...)
	return s
}

// Closed forbids properties that are not named.
func (s *Schema) Closed() *Schema {
	s.Additional = Never()
	return s
}

// halfOver is the largest float32 plus half a step. Numbers up to it round down.
const halfOver = 0x1.ffffffp127

// Element describes one element of an input tensor in JSON.
func Element(d tensor.DType) *Schema {
	integer := func(format string, least, most any) *Schema {
		return &Schema{Type: "integer", Format: format, Minimum: least, Maximum: most}
	}
	switch d {
	case tensor.Bool:
		return Boolean()
	case tensor.String:
		return Text()
	case tensor.Int8:
		return integer("int8", math.MinInt8, math.MaxInt8)
	case tensor.Int16:
		return integer("int16", math.MinInt16, math.MaxInt16)
	case tensor.Int32:
		return integer("int32", math.MinInt32, math.MaxInt32)
	case tensor.Int64:
		return integer("int64", int64(math.MinInt64), int64(math.MaxInt64))
	case tensor.Uint8:
		return integer("uint8", 0, math.MaxUint8)
	case tensor.Uint16:
		return integer("uint16", 0, math.MaxUint16)
	case tensor.Uint32:
		return integer("uint32", 0, uint32(math.MaxUint32))
	case tensor.Uint64:
		return integer("uint64", 0, uint64(math.MaxUint64))
	case tensor.Float32:
		return &Schema{Type: "number", Format: "float", Minimum: -halfOver, Maximum: halfOver}
	case tensor.Float64:
		return &Schema{Type: "number", Format: "double"}
	}
	return &Schema{Type: "number"}
}

// Given describes one element of an output tensor in JSON. Floats have no bounds, since the shortest
// decimal for the largest float32 exceeds it.
func Given(d tensor.DType) *Schema {
	s := Element(d)
	if s.Type == "number" {
		s.Minimum, s.Maximum = nil, nil
	}
	return s
}

// InJSON reports whether requests can carry a type in JSON.
func InJSON(d tensor.DType) bool { return d != tensor.Float16 && d != tensor.BFloat16 }

// Nested returns the schema of lists nested by shape. A size of -1 is free.
func Nested(items *Schema, shape []int64) *Schema { return nest(items, shape, 0) }

// Full is like Nested, but excludes empty lists around others, which would have fewer dimensions.
func Full(items *Schema, shape []int64) *Schema { return nest(items, shape, 1) }

func nest(items *Schema, shape []int64, least int64) *Schema {
	for i := len(shape) - 1; i >= 0; i-- {
		switch {
		case shape[i] >= 0:
			items = List(items, shape[i], shape[i])
		case i < len(shape)-1:
			items = List(items, least, -1)
		default:
			items = List(items, 0, -1)
		}
	}
	return items
}

// InBase64 returns the schema of bytes as the protocol writes them.
func InBase64() *Schema {
	t := Text()
	t.ContentEncoding = "base64"
	return Object(Property("b64", t)).Closed()
}

// AnyOf returns a schema that accepts what any of the schemas does. Without schemas, nothing satisfies it.
func AnyOf(ways []*Schema) *Schema {
	switch len(ways) {
	case 0:
		return Never() // the model's inputs cannot be written in JSON
	case 1:
		return ways[0]
	}
	return &Schema{AnyOf: ways}
}
