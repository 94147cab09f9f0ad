package replay

// The other signatures of a bundle, for protocols that name them.

import "github.com/forgo-ml/forgo/predict/bundle"

// Signed is a signature with its own cases.
type Signed struct {
	// Manifest is that of a bundle with this signature alone.
	Manifest *bundle.Manifest
	Cases    []bundle.Recorded
}

func readSigned(b *bundle.Bundle) ([]Signed, error) {
	var list []Signed
	for _, one := range b.Signed() {
		s := Signed{Manifest: &one.Manifest}
		for _, c := range one.Manifest.Golden.Cases {
			recorded, err := one.ReadCase(c)
			if err != nil {
				return nil, err
			}
			s.Cases = append(s.Cases, recorded)
		}
		list = append(list, s)
	}
	return list, nil
}

// Name returns the signature's name.
func (s *Signed) Name() string { return s.Manifest.Graph.Signature }

// At returns a copy of the server whose requests go to this signature.
func (s *Signed) At(server *Server) *Server {
	at := *server
	at.Manifest, at.Signed = s.Manifest, nil
	return &at
}

// Forms renames forms to SIGNATURE/FORM and makes them send the signature's cases.
func (s *Signed) Forms(forms ...Form) []Form {
	for i := range forms {
		forms[i].Name, forms[i].Of = s.Name()+"/"+forms[i].Name, s
	}
	return forms
}
