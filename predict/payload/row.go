package payload

// Rows in JSON: one row, a list of them, or a batch.

import (
	"encoding/base64"
	"errors"
	"fmt"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Picture is the name under which clients send a model's encoded picture, whatever the name of the input
// that it becomes.
const Picture = "image"

// Inputs describes the contents of a row.
type Inputs struct {
	// Specs are the inputs that a row gives as values.
	Specs []tensor.Spec
	// Picture says that a row also gives an encoded picture, under the name [Picture].
	Picture bool
	// Table says that the inputs are columns of a table, each with one value in a row. A row may then be a
	// list of values in their order, and a cell of a CSV may be empty where a number is missing.
	Table bool
}

func (in Inputs) names() []string {
	var list []string
	if in.Picture {
		list = append(list, Picture)
	}
	for _, s := range in.Specs {
		list = append(list, s.Name)
	}
	return list[:min(len(list), 20)]
}

// Several reports whether the next value is a list of rows, and not one row: a list of objects, a list one
// deeper than a row of the only input or, of a table, a list of lists.
func (r *Reader) Several(in Inputs) bool {
	switch c := r.PeekInto(); {
	case c == '{', c == '[' && in.Table:
		return true
	case in.Picture || len(in.Specs) != 1 || in.Specs[0].Shape == nil || r.Peek() != '[':
		return false
	}
	return r.Deep() == len(in.Specs[0].Shape)
}

// Row reads one row: an object from input names to values; for a single input without a picture, the bare
// value; of a table, a list of its values. Each tensor has a batch of one. The picture is
//
//	{"image": {"b64": "…"}, "NAME": value, …}
//
// and Row returns its file's bytes. If the model takes only a picture, {"b64": "…"} is a row, too.
func (r *Reader) Row(in Inputs) (values tensor.Map, picture []byte, err error) {
	if r.Peek() != '{' {
		if in.Picture {
			return nil, nil, fmt.Errorf(`not an object: send every input by its name, the picture as %q: {"b64": "..."}`, Picture)
		}
		if in.Table && r.Peek() == '[' {
			values, err = r.cells(in.Specs)
			return values, nil, err
		}
		if len(in.Specs) != 1 {
			return nil, nil, fmt.Errorf("the model has %d inputs; send an object with their names: %q", len(in.Specs), in.names())
		}
		t, err := r.input(in.Specs[0])
		return tensor.Map{in.Specs[0].Name: t}, nil, err
	}
	values = make(tensor.Map, len(in.Specs))
	err = r.Object(func(name string) error {
		if in.Picture && len(in.Specs) == 0 && name == "b64" && picture == nil {
			text, err := r.Base64Text()
			picture = append(make([]byte, 0, len(text)), text...)
			return err
		}
		if in.Picture && name == Picture {
			text, err := r.Base64()
			if err != nil {
				if errors.Is(err, errNoBase64) && !errors.Is(err, errFile) {
					err = errors.New(`send a picture as {"b64": "..."}`)
				}
				return fmt.Errorf("input %q: %w", Picture, err)
			}
			picture = unsafe.Slice(unsafe.StringData(text), len(text)) // which is not kept otherwise
			if picture == nil {
				picture = []byte{}
			}
			return nil
		}
		for _, spec := range in.Specs {
			if spec.Name == name {
				values[name], err = r.input(spec)
				return err
			}
		}
		if in.Picture && name == "file" {
			return errFile
		}
		return fmt.Errorf("the model has no input %s; it takes %q", tensor.Quote(name), in.names())
	})
	if err != nil {
		return nil, nil, err
	}
	if in.Picture && picture == nil {
		return nil, nil, fmt.Errorf("input %q, the picture, is missing", Picture)
	}
	for _, spec := range in.Specs {
		if _, ok := values[spec.Name]; !ok {
			return nil, nil, fmt.Errorf("input %q is missing; the model takes %q", spec.Name, in.names())
		}
	}
	return values, picture, nil
}

// cells reads a table's row without names: a list of its values, in the order of the columns.
//
//forgo:reader JSON rows without names
func (r *Reader) cells(specs []tensor.Spec) (tensor.Map, error) {
	values := make(tensor.Map, len(specs))
	n := 0
	err := r.List(func(i int) error {
		if n++; n > len(specs) {
			_, err := r.Raw()
			return err
		}
		t, err := r.input(specs[i])
		values[specs[i].Name] = t
		return err
	})
	if err == nil && n != len(specs) {
		err = fmt.Errorf("the list has %d values, the model takes %d: %q", n, len(specs), Inputs{Specs: specs}.names())
	}
	return values, err
}

// ParseRow reads a text that is one row, with the default limits.
func ParseRow(text []byte, in Inputs) (values tensor.Map, picture []byte, err error) {
	r := New(text)
	if values, picture, err = r.Row(in); err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("parse JSON row: %w", err)
	}
	return values, picture, nil
}

func (r *Reader) input(spec tensor.Spec) (tensor.Tensor, error) {
	t, err := r.Input(spec, false)
	if err != nil {
		return t, fmt.Errorf("input %q: %w", spec.Name, err)
	}
	return t, nil
}

// Deep returns the number of lists that start where the next value does: the depth of its first element.
func (r *Reader) Deep() int {
	inner := Reader{data: r.data, at: r.at}
	n := 0
	for ; inner.Peek() == '['; n++ {
		inner.at++
	}
	return n
}

var errNoBase64 = errors.New(`send bytes as {"b64": "..."}`)

// errFile is the error for a picture that is named but not sent. Rows on the command line may name files.
var errFile = fmt.Errorf("a server does not open files: %w", errNoBase64)

// Base64 reads {"b64": "…"} and returns the decoded bytes in memory of their own.
func (r *Reader) Base64() (string, error) {
	if r.Peek() != '{' {
		return "", errNoBase64
	}
	var out string
	seen := false
	err := r.Object(func(name string) error {
		if name == "file" {
			return errFile
		}
		if name != "b64" {
			return fmt.Errorf("%w, without %s", errNoBase64, tensor.Quote(name))
		}
		seen = true
		var err error
		out, err = r.Base64Text()
		return err
	})
	if err == nil && !seen {
		err = errNoBase64
	}
	return out, err
}

// Base64Text reads a base64 string and returns the decoded bytes in memory of their own.
//
//forgo:reader base64
func (r *Reader) Base64Text() (string, error) {
	token, plain, err := r.quoted()
	if err != nil {
		return "", fmt.Errorf("b64: %w", err)
	}
	text := token[1 : len(token)-1]
	if !plain {
		s, err := r.unquote(token, plain)
		if err != nil {
			return "", err
		}
		text = []byte(s)
	}
	if err := r.grow(base64.StdEncoding.DecodedLen(len(text))); err != nil {
		return "", err
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(raw, text)
	if err != nil {
		return "", fmt.Errorf("b64: not base64: %w", err)
	}
	return unsafe.String(unsafe.SliceData(raw), n), nil // raw is not kept
}
