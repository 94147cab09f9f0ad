package bundle

import (
	"fmt"
	"maps"
	"slices"
)

// Methods of a signature, as in TensorFlow Serving.
const (
	Predict  = "predict"
	Classify = "classify"
	Regress  = "regress"
)

// Signature is a further signature of a SavedModel, with the cases that prove it.
type Signature struct {
	Name    string       `json:"name"`
	Method  string       `json:"method"`
	Batch   *int         `json:"batch,omitempty"` // as [Graph.Batch]
	Inputs  []TensorInfo `json:"inputs"`
	Outputs []TensorInfo `json:"outputs"`
	Golden  Golden       `json:"golden"`
}

// signed returns the manifest of a bundle with this signature alone. It has no labels or picture, which
// belong to the manifest's own signature.
func (m *Manifest) signed(s Signature) Manifest {
	return Manifest{
		Format: m.Format, Name: m.Name, Task: Tensors, Engine: m.Engine,
		Graph:  Graph{Path: m.Graph.Path, Tags: m.Graph.Tags, Signature: s.Name, Method: s.Method, Batch: s.Batch},
		Inputs: s.Inputs, Outputs: s.Outputs, Tolerance: m.Tolerance, Golden: s.Golden, Files: m.Files, Provenance: m.Provenance,
	}
}

// Signed returns a bundle for each further signature, in order, which holds that signature alone. They
// read the same folder, and close with b.
func (b *Bundle) Signed() []*Bundle {
	var list []*Bundle
	for _, s := range b.Manifest.Signatures {
		list = append(list, &Bundle{Manifest: b.Manifest.signed(s), Path: b.Path, Digest: b.Digest, files: b.files})
	}
	return list
}

// AllCases returns the golden cases of the manifest's own signature, then those of the others.
func (m *Manifest) AllCases() []Case {
	all := slices.Clone(m.Golden.Cases)
	for _, s := range m.Signatures {
		all = append(all, s.Golden.Cases...)
	}
	return all
}

// checkSignatures checks each signature by the rules of a manifest, and that it has golden cases if the
// model does.
func (m *Manifest) checkSignatures() error {
	if len(m.Signatures) == 0 {
		return nil
	}
	if !m.hasFolder(m.Graph.Path) || m.Graph.Signature == "" {
		return fmt.Errorf("signatures needs a SavedModel whose graph names a signature")
	}
	seen := map[string]bool{m.Graph.Signature: true}
	answers := map[string]bool{}
	for _, c := range m.Golden.Cases {
		answers[c.Tensors] = true
	}
	for _, s := range m.Signatures {
		if seen[s.Name] {
			return fmt.Errorf("signature %q is listed twice", s.Name)
		}
		seen[s.Name] = true
		if (s.Golden.None == "") != (m.Golden.None == "") {
			return fmt.Errorf("signature %q needs golden cases if the bundle has them, and none otherwise", s.Name)
		}
		signed := m.signed(s)
		if err := signed.check(); err != nil {
			return fmt.Errorf("signature %q: %w", s.Name, err)
		}
		own := map[string]bool{}
		for _, c := range s.Golden.Cases {
			if answers[c.Tensors] {
				return fmt.Errorf("signature %q: golden case %s shares its tensors %q with another signature", s.Name, c.ID, c.Tensors)
			}
			own[c.Tensors] = true
		}
		maps.Copy(answers, own)
	}
	return nil
}
