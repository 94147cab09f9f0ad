package predict

// Several signatures of one SavedModel.

import (
	"context"
	"errors"
	"fmt"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
)

// Signature returns the model of a signature of the bundle's SavedModel. It has the signature's inputs and
// outputs and its own golden cases. Its manifest is that of a bundle with this signature alone. The name
// of the model's own signature, or "", returns m. ok is false if the bundle has no such signature. Closing
// m closes the returned model.
func (m *Model) Signature(name string) (signed *Model, ok bool) {
	if name == "" || name == m.manifest.Graph.Signature {
		return m, true
	}
	for _, s := range m.signed {
		if s.manifest.Graph.Signature == name {
			return s, true
		}
	}
	return nil, false
}

// Signatures returns the names that Signature accepts apart from "", the model's own first. It returns
// none if the model's graph has no signatures.
func (m *Model) Signatures() []string {
	var names []string
	if own := m.manifest.Graph.Signature; own != "" {
		names = append(names, own)
	}
	for _, s := range m.signed {
		names = append(names, s.manifest.Graph.Signature)
	}
	return names
}

// openSigned opens and proves the other signatures, after the graph is open.
func (m *Model) openSigned(ctx context.Context, b *bundle.Bundle, o Options) error {
	all := b.Signed()
	if len(all) == 0 {
		return nil
	}
	graph, ok := m.graphs.Load().model.(engines.Signed)
	if !ok {
		return &bundle.Error{Bundle: b.Path, Err: fmt.Errorf("the engine opens one signature of a graph, not %d: export one with --signature NAME", 1+len(all))}
	}
	for _, one := range all {
		s := newModel(one, o)
		name := s.manifest.Graph.Signature
		session := graph.Signed(name)
		if session == nil {
			return &bundle.Error{Bundle: b.Path, File: m.manifest.Graph.Path, Err: fmt.Errorf("the engine did not open signature %q", name)}
		}
		s.graphs.Store(&graphs{model: session, engine: m.graphs.Load().engine})
		err := s.take(one, o)
		if err == nil {
			m.signed = append(m.signed, s)
			err = s.prove(ctx, one, o)
		}
		if err != nil {
			return ofSignature(name, err)
		}
		m.parity.add(s.parity)
	}
	return nil
}

// ofSignature adds the signature's name to an error.
func ofSignature(name string, err error) error {
	var parity *ParityError
	var folder *bundle.Error
	switch {
	case errors.As(err, &parity):
		of := *parity
		of.Err = fmt.Errorf("signature %q: %w", name, parity.Err)
		return &of
	case errors.As(err, &folder):
		return &bundle.Error{Bundle: folder.Bundle, File: folder.File, Err: fmt.Errorf("signature %q: %w", name, folder.Err)}
	}
	return fmt.Errorf("signature %q: %w", name, err)
}
