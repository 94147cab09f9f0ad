package bundle

import (
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// PictureName is the name under which clients send a model's encoded picture, whatever the name of the
// input that it becomes.
const PictureName = payload.Picture

// Beside returns the inputs apart from the picture. Without a picture, these are all inputs.
func (m *Manifest) Beside() []tensor.Spec {
	var specs []tensor.Spec
	for _, i := range m.Inputs {
		if m.Picture == nil || i.Name != m.Picture.Input {
			specs = append(specs, i.Spec())
		}
	}
	return specs
}

// PictureAlone reports whether the model takes only a picture.
func (m *Manifest) PictureAlone() bool { return m.Picture != nil && len(m.Inputs) == 1 }

// PictureInput returns the input that the picture becomes. The model must take one.
func (m *Manifest) PictureInput() tensor.Spec {
	for _, i := range m.Inputs {
		if i.Name == m.Picture.Input {
			return i.Spec()
		}
	}
	return tensor.Spec{} // checked manifests do not get here
}

// Row returns the inputs of a JSON row of the model.
func (m *Manifest) Row() payload.Inputs {
	return payload.Inputs{Specs: m.Beside(), Picture: m.Picture != nil, Table: len(m.Columns) > 0}
}
