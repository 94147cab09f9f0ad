package predict

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
)

// openGraph opens a bundle's model from the bytes of a file, or from a private copy of a folder. An engine
// opens a folder by its path, whose files could change after their digests were checked. It needs the copy
// only until it has opened the graph.
func openGraph(ctx context.Context, engine Engine, b *bundle.Bundle, o SessionOptions) (engines.Session, error) {
	m := &b.Manifest
	if err := matchFormat(engine.Info().Format, m); err != nil {
		return nil, &bundle.Error{Bundle: b.Path, File: bundle.ManifestFile, Err: err}
	}
	g := Graph{Path: m.Graph.Path, Tags: m.Graph.Tags, Signature: m.Graph.Signature}
	if _, isFile := m.Files[g.Path]; isFile {
		// The file has its own names. The manifest's names for a signature are for clients.
		return openFile(ctx, engine, b, Graph{Path: g.Path}, o)
	}
	for _, t := range m.Inputs {
		g.Inputs = append(g.Inputs, t.GraphName)
	}
	for _, t := range m.Outputs {
		g.Outputs = append(g.Outputs, t.GraphName)
	}
	for _, s := range m.Signatures {
		signed := engines.GraphSignature{Name: s.Name}
		for _, t := range s.Inputs {
			signed.Inputs = append(signed.Inputs, t.GraphName)
		}
		for _, t := range s.Outputs {
			signed.Outputs = append(signed.Outputs, t.GraphName)
		}
		g.Signatures = append(g.Signatures, signed)
	}
	private, free, err := privateFolder()
	if err != nil {
		return nil, fmt.Errorf("copy %s of bundle %s: %w", g.Path, b.Path, err)
	}
	defer free()
	name := g.Path
	g.Path = filepath.Join(private, filepath.Base(name))
	if err := os.Mkdir(g.Path, 0o700); err != nil {
		return nil, fmt.Errorf("copy %s of bundle %s: %w", name, b.Path, err)
	}
	if err := b.CopyFolder(ctx, name, g.Path); err != nil {
		return nil, err
	}
	s, err := openSession(ctx, engine, g, o)
	if err != nil {
		return nil, &bundle.Error{Bundle: b.Path, File: name, Err: err}
	}
	return s, nil
}

// matchFormat checks what the manifest says of its graph against the format that it names.
func matchFormat(f engines.Format, m *bundle.Manifest) error {
	_, isFile := m.Files[m.Graph.Path]
	switch {
	case isFile && f.Folder:
		return fmt.Errorf("graph names the file %q; %s is a folder", m.Graph.Path, f.Noun)
	case !isFile && !f.Folder:
		return fmt.Errorf("graph names the folder %q; %s is a file", m.Graph.Path, f.Noun)
	case f.Tags && len(m.Graph.Tags) == 0:
		return fmt.Errorf("graph names %s, %q, but no tags", f.Noun, m.Graph.Path)
	}
	return nil
}

func openFile(ctx context.Context, engine Engine, b *bundle.Bundle, g Graph, o SessionOptions) (engines.Session, error) {
	var err error
	if g.Data, err = b.ReadFile(g.Path); err != nil {
		return nil, err
	}
	s, err := openSession(ctx, engine, g, o)
	if err != nil {
		return nil, &bundle.Error{Bundle: b.Path, File: g.Path, Err: err}
	}
	return s, nil
}

// openSession opens a graph, and returns early if ctx ends. Libraries cannot abandon an opening, and a
// hostile graph can keep one busy for any time. A session that opens after that is closed.
func openSession(ctx context.Context, engine Engine, g Graph, o SessionOptions) (engines.Session, error) {
	if ctx.Done() == nil {
		return engine.Open(ctx, g, o)
	}
	type opened struct {
		s   engines.Session
		err error
	}
	done := make(chan opened, 1)
	go func() {
		s, err := engine.Open(ctx, g, o)
		done <- opened{s, err}
	}()
	select {
	case o := <-done:
		return o.s, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				_ = o.s.Close()
			}
		}()
		return nil, fmt.Errorf("gave up opening the graph: %w", ctx.Err())
	}
}
