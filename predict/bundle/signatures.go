package bundle

import (
	"fmt"
	"maps"
	"slices"
)

// Methods that a signature may be for, as TensorFlow Serving has them.
const (
	Predict  = "predict"
	Classify = "classify"
	Regress  = "regress"
)

// Signature is one of a SavedModel's signatures beside the manifest's own, and the cases that prove it.
type Signature struct {
	Name    string       `json:"name"`
	Method  string       `json:"method"`
	Batch   *int         `json:"batch,omitempty"` // as [Graph.Batch]
	Inputs  []TensorInfo `json:"inputs"`
	Outputs []TensorInfo `json:"outputs"`
	Golden  Golden       `json:"golden"`
}

// signed is the manifest of a bundle that would hold this signature alone. Labels and pictures are of
// the manifest's own signature: this one takes and gives tensors.
func (m *Manifest) signed(s Signature) Manifest {
	return Manifest{
		Format: m.Format, Name: m.Name, Task: Tensors, Engine: m.Engine,
		Graph:  Graph{Path: m.Graph.Path, Tags: m.Graph.Tags, Signature: s.Name, Method: s.Method, Batch: s.Batch},
		Inputs: s.Inputs, Outputs: s.Outputs, Tolerance: m.Tolerance, Golden: s.Golden, Files: m.Files, Provenance: m.Provenance,
	}
}

// Signed returns the bundle as one that holds a signature alone, for each in order. They read the
// same folder, and are closed with b.
func (b *Bundle) Signed() []*Bundle {
	var list []*Bundle
	for _, s := range b.Manifest.Signatures {
		list = append(list, &Bundle{Manifest: b.Manifest.signed(s), Path: b.Path, Digest: b.Digest, files: b.files})
	}
	return list
}

// AllCases are the golden cases of the manifest's own signature, then those of the others.
func (m *Manifest) AllCases() []Case {
	all := slices.Clone(m.Golden.Cases)
	for _, s := range m.Signatures {
		all = append(all, s.Golden.Cases...)
	}
	return all
}

// checkSignatures holds each signature to the rules of a manifest, and to be proven where the model is:
// by cases of its own.
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
