package predict

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
)

// openGraph opens a bundle's model: a file by its bytes, a folder by a copy of them. An engine
// opens a folder by its path, where the files could be changed after their digests were checked;
// so it gets a private copy, which it needs only until it has opened it.
func openGraph(ctx context.Context, engine Engine, b *bundle.Bundle, o SessionOptions) (engines.Session, error) {
	m := &b.Manifest
	if err := matchFormat(engine.Info().Format, m); err != nil {
		return nil, &bundle.Error{Bundle: b.Path, File: bundle.ManifestFile, Err: err}
	}
	g := Graph{Path: m.Graph.Path, Tags: m.Graph.Tags, Signature: m.Graph.Signature}
	if _, isFile := m.Files[g.Path]; isFile {
		// The names are those of the file: what the manifest calls its signature by is for clients.
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

// matchFormat holds what the manifest says of its graph to the format that it names.
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

// openSession opens a graph, and returns when ctx ends: libraries know no way to give up, and a graph
// can keep one busy for as long as its maker likes. What is opened after that is closed.
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
