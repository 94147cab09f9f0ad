package bundle

import (
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// PictureName is what clients call the encoded picture of a model that takes one, whatever the
// name of the input that it becomes.
const PictureName = payload.Picture

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

// Row says what a JSON row of the model gives.
func (m *Manifest) Row() payload.Inputs {
	return payload.Inputs{Specs: m.Beside(), Picture: m.Picture != nil}
}
