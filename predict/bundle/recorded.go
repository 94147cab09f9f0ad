package bundle

import (
	"fmt"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Recorded is a golden case with its files read: what a client sends, and what training saw and answered,
// by the manifest's names and with a batch of one.
type Recorded struct {
	Case
	Raw             []byte
	Picture         []byte // the encoded picture: Raw, or a part of it
	Inputs, Outputs tensor.Map
}

// ReadCase reads a golden case of the manifest. The error is an [*Error].
func (b *Bundle) ReadCase(c Case) (Recorded, error) {
	r := Recorded{Case: c, Inputs: tensor.Map{}, Outputs: tensor.Map{}}
	var err error
	if r.Raw, err = b.ReadFile(c.Input); err != nil {
		return r, err
	}
	switch {
	case b.Manifest.PictureAlone():
		r.Picture = r.Raw
	case b.Manifest.Picture != nil:
		if _, r.Picture, err = payload.ParseRow(r.Raw, b.Manifest.Row()); err != nil {
			return r, &Error{b.Path, c.Input, err}
		}
	}
	file, err := b.ReadFile(c.Tensors)
	if err != nil {
		return r, err
	}
	recorded, err := tensor.ReadSafetensors(file)
	if err != nil {
		return r, &Error{b.Path, c.Tensors, err}
	}
	pick := func(kind string, infos []TensorInfo, into tensor.Map) error {
		for _, info := range infos {
			t, ok := recorded[kind+info.Name]
			if !ok {
				return &Error{b.Path, c.Tensors, fmt.Errorf("it has no tensor %q", kind+info.Name)}
			}
			if info.DType == tensor.String {
				var err error
				if t, err = tensor.JoinStrings(t, recorded[kind+info.Name+tensor.Lengths]); err != nil {
					return &Error{b.Path, c.Tensors, fmt.Errorf("tensor %q: %w", kind+info.Name, err)}
				}
			}
			if err := info.Spec().Match(t); err != nil {
				return &Error{b.Path, c.Tensors, err}
			}
			into[info.Name] = t
		}
		return nil
	}
	if err := pick("input.", b.Manifest.Inputs, r.Inputs); err != nil {
		return r, err
	}
	return r, pick("output.", b.Manifest.Outputs, r.Outputs)
}

// Stack joins the inputs of cases as the rows of one batch, in order. It fails if their shapes differ.
func Stack(cases []Recorded) (tensor.Map, error) {
	inputs := tensor.Map{}
	for name := range cases[0].Inputs {
		var parts []tensor.Tensor
		for _, c := range cases {
			parts = append(parts, c.Inputs[name])
		}
		t, err := tensor.Concat(parts...)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
		inputs[name] = t
	}
	return inputs, nil
}
