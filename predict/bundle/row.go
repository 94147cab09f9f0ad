package bundle

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// PictureName is what clients call the encoded picture of a model that takes one, whatever the
// name of the input that it becomes.
const PictureName = "image"

// Beside returns the inputs that are given beside the picture: all, where there is none.
func (m *Manifest) Beside() []tensor.Spec {
	var specs []tensor.Spec
	for _, i := range m.Inputs {
		if m.Picture == nil || i.Name != m.Picture.Input {
			specs = append(specs, i.Spec())
		}
	}
	return specs
}

// PictureAlone reports whether a picture is all that the model takes.
func (m *Manifest) PictureAlone() bool { return m.Picture != nil && len(m.Inputs) == 1 }

// PictureInput is the input that the picture becomes, of a model that takes one.
func (m *Manifest) PictureInput() tensor.Spec {
	for _, i := range m.Inputs {
		if i.Name == m.Picture.Input {
			return i.Spec()
		}
	}
	return tensor.Spec{} // not of a manifest that was checked
}

// SplitRow takes the picture out of a JSON row of a model that takes one beside other inputs:
//
//	{"image": {"b64": "…"}, "NAME": value, …}
//
// and returns it decoded from base64, with the row of the others.
func SplitRow(row []byte) (picture, others []byte, err error) {
	fail := func(err error) ([]byte, []byte, error) { return nil, nil, fmt.Errorf("parse JSON row: %w", err) }
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(row, &fields); err != nil {
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) {
			err = errors.New("it is not an object")
		}
		return fail(fmt.Errorf(`%w; a row has every input by its name, the picture as %q: {"b64": "..."}`, err, PictureName))
	}
	raw, ok := fields[PictureName]
	if !ok {
		return fail(fmt.Errorf("input %q, the picture, is missing", PictureName))
	}
	var value map[string]*string
	if json.Unmarshal(raw, &value) != nil || len(value) != 1 || value["b64"] == nil {
		return fail(fmt.Errorf(`input %q: a picture is given as {"b64": "..."}`, PictureName))
	}
	if picture, err = base64.StdEncoding.DecodeString(*value["b64"]); err != nil {
		return fail(fmt.Errorf("input %q: it is not base64: %w", PictureName, err))
	}
	delete(fields, PictureName)
	if others, err = json.Marshal(fields); err != nil {
		return fail(err)
	}
	return picture, others, nil
}
