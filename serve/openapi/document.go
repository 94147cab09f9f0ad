package openapi

// The parts of an OpenAPI 3.1 document that describe models.

import (
	"bytes"
	"encoding/json"
)

// Document is an OpenAPI document. Its JSON keeps the order of everything in it.
type Document struct {
	OpenAPI    string         `json:"openapi"`
	Info       Info           `json:"info"`
	Servers    []Server       `json:"servers"`
	Tags       []Tag          `json:"tags"`
	Paths      Ordered[*Path] `json:"paths"`
	Components Components     `json:"components"`
	Security   []Requirement  `json:"security,omitempty"` // for operations without their own
}

// Info says what the document describes.
type Info struct {
	Title       string `json:"title"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Version     string `json:"version"`
}

// Server is where paths begin.
type Server struct {
	URL string `json:"url"`
}

// Tag names a group of operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Path holds the operations at one path.
type Path struct {
	Get  *Operation `json:"get,omitempty"`
	Post *Operation `json:"post,omitempty"`
}

// Operation is a kind of request with its responses.
type Operation struct {
	ID          string             `json:"operationId"`
	Tags        []string           `json:"tags"`
	Summary     string             `json:"summary"`
	Description string             `json:"description,omitempty"`
	Parameters  []Parameter        `json:"parameters,omitempty"`
	Body        *Body              `json:"requestBody,omitempty"`
	Responses   Ordered[*Response] `json:"responses"`
	Security    *[]Requirement     `json:"security,omitempty"`
	Samples     []Sample           `json:"x-codeSamples,omitempty"` // as several viewers show them

	Again bool `json:"-"` // the same is at another path, without the version
}

// Parameter is one part of a request outside its body.
type Parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Description string  `json:"description"`
	Schema      *Schema `json:"schema"`
}

// Body is the body of a request, by media type.
type Body struct {
	Description string          `json:"description,omitempty"`
	Required    bool            `json:"required"`
	Content     Ordered[*Media] `json:"content"`
}

// Response is a response with one status.
type Response struct {
	Ref         string           `json:"$ref,omitempty"`
	Description string           `json:"description,omitempty"`
	Headers     Ordered[*Header] `json:"headers,omitempty"`
	Content     Ordered[*Media]  `json:"content,omitempty"`
}

// Header is a header of a response.
type Header struct {
	Description string  `json:"description"`
	Schema      *Schema `json:"schema"`
}

// Media is a body of one media type.
type Media struct {
	Schema   *Schema            `json:"schema"`
	Examples Ordered[*Example]  `json:"examples,omitempty"`
	Encoding Ordered[*Encoding] `json:"encoding,omitempty"`
}

// Encoding says what a form's field holds.
type Encoding struct {
	ContentType string `json:"contentType"`
}

// Example is an example of a body.
type Example struct {
	Summary string `json:"summary"`
	Value   any    `json:"value"`
}

// Components are shared by several operations.
type Components struct {
	Schemas         Ordered[*Schema]         `json:"schemas"`
	Responses       Ordered[*Response]       `json:"responses"`
	SecuritySchemes Ordered[*SecurityScheme] `json:"securitySchemes,omitempty"`
}

// Requirement names a security scheme that a request must satisfy.
type Requirement map[string][]string

// SecurityScheme is a way to present a key.
type SecurityScheme struct {
	Type   string `json:"type"`
	Scheme string `json:"scheme,omitempty"`
	In     string `json:"in,omitempty"`
	Name   string `json:"name,omitempty"`
}

// Ordered is a JSON object with ordered fields.
type Ordered[T any] []Field[T]

// Field is one field of an object.
type Field[T any] struct {
	Name  string
	Value T
}

// NewField returns a field of an [Ordered].
func NewField[T any](name string, value T) Field[T] { return Field[T]{name, value} }

// JSON returns an object from alternating names and values, in order.
func JSON(pairs ...any) Ordered[any] {
	var o Ordered[any]
	for i := 0; i+1 < len(pairs); i += 2 {
		o = append(o, Field[any]{pairs[i].(string), pairs[i+1]})
	}
	return o
}

// MarshalJSON writes the fields in order.
func (o Ordered[T]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
