// Package tensorflow runs SavedModels with TensorFlow's C library.
//
//	m, err := predict.Load(ctx, "faces.forgo", tensorflow.Engine(), onnx.Engine())
//
// Bundles for pictures also need ONNX Runtime, which prepares them.
//
// The engine opens TensorFlow's shared library at run time, so a build does not need TensorFlow. It looks,
// in this order, at the [Library] option, in the environment variable FORGO_TENSORFLOW, beside the running
// binary, in the tensorflow wheel of the Python environment, and on the system.
//
// The engine keeps TensorFlow's log off stderr unless TF_CPP_MIN_LOG_LEVEL is set. Two lines that
// TensorFlow always writes when it is opened appear only if that is 0 or TF_CPP_VMODULE is set.
package tensorflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
)

// Option configures the engine.
type Option func(*engine)

// Library sets the path of TensorFlow's shared library. The engine tries no other place.
func Library(path string) Option { return func(e *engine) { e.path = path } }

// AllowFiles lets graphs run every operation of TensorFlow, with the rights of this process. Such graphs
// can read and write files, open connections or end the process. Use it only for models that you trust
// like a program.
func AllowFiles() Option { return func(e *engine) { e.files = true } }

// Engine returns the TensorFlow engine. It loads nothing until it is used. A process has one TensorFlow:
// the first engine that is used decides which.
func Engine(options ...Option) predict.Engine {
	e := engine{}
	for _, o := range options {
		o(&e)
	}
	return e
}

type engine struct {
	path  string
	files bool
}

// Open opens a graph in a SavedModel's folder. Its inputs and outputs are those of the signature, or the
// tensors that g names.
func (e engine) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	s, err := e.open(ctx, g, o)
	if err != nil {
		return nil, fmt.Errorf("open SavedModel: %s: %w", filepath.Base(g.Path), err)
	}
	return s, nil
}

// Check returns the error with which an [Engine] without options refuses g before it loads anything:
// missing tags, signature, inputs or outputs, missing files, and operations that a graph may not have. It
// also refuses a model that would reach files when Python loads it. It reads only saved_model.pb, needs no
// TensorFlow, and runs nothing of the model.
func Check(g predict.Graph) error {
	chosen, err := engine{}.check(g)
	if err == nil {
		err = chosen.safeToCreate()
	}
	if err != nil {
		return fmt.Errorf("check SavedModel: %s: %w", filepath.Base(g.Path), err)
	}
	return nil
}

func (e engine) open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (_ *session, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	chosen, err := e.check(g)
	if err != nil {
		return nil, err
	}
	if _, err := e.Library(); err != nil {
		return nil, err
	}
	s, loaded, err := load(g.Path, chosen.Tags, o.Threads)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	// From here on, what TensorFlow has loaded counts.
	meta, err := readMetaGraph(loaded)
	if err != nil {
		return nil, err
	}
	if !e.files {
		if err := errors.Join(meta.safeToLoad(), meta.safe()); err != nil {
			return nil, err
		}
	}
	if err := s.call(e, &meta, g); err != nil {
		return nil, err
	}
	for _, other := range others(g) {
		signed := &session{opened: s.opened}
		if err := signed.call(e, &meta, other); err != nil {
			return nil, fmt.Errorf("signature %q: %w", other.Signature, err)
		}
		s.others[other.Signature] = signed
	}
	return s, nil
}

// call finds the chosen inputs and outputs.
func (s *session) call(e engine, m *MetaGraph, g predict.Graph) error {
	inputs, outputs, err := e.namedTensors(m, g)
	if err != nil {
		return err
	}
	if s.inputs, err = s.find(inputs); err != nil {
		return err
	}
	s.outputs, err = s.find(outputs)
	return err
}

// others returns g with each of its other signatures in turn.
func others(g predict.Graph) []predict.Graph {
	var list []predict.Graph
	for _, s := range g.Signatures {
		list = append(list, predict.Graph{Path: g.Path, Tags: g.Tags, Signature: s.Name, Inputs: s.Inputs, Outputs: s.Outputs})
	}
	return list
}

// check finds the chosen graph in its folder, and refuses what must not be loaded.
func (e engine) check(g predict.Graph) (*MetaGraph, error) {
	if g.Data != nil {
		return nil, errors.New("a SavedModel is a folder, not a file")
	}
	graphs, err := Inspect(g.Path)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(graphs, g.Tags)
	if err != nil {
		return nil, err
	}
	if !e.files {
		if err := chosen.safeToLoad(); err != nil {
			return nil, err
		}
	}
	if _, _, err := e.namedTensors(chosen, g); err != nil {
		return nil, err
	}
	for _, other := range others(g) {
		if _, _, err := e.namedTensors(chosen, other); err != nil {
			return nil, fmt.Errorf("signature %q: %w", other.Signature, err)
		}
	}
	if !e.files {
		if err := chosen.safe(); err != nil {
			return nil, err
		}
	}
	return chosen, chosen.complete(g.Path)
}

// namedTensors returns the chosen inputs and outputs, if they may run.
func (e engine) namedTensors(m *MetaGraph, g predict.Graph) (inputs, outputs []NamedTensor, err error) {
	if inputs, outputs, err = m.choose(g); err != nil || e.files {
		return inputs, outputs, err
	}
	return inputs, outputs, m.safeToRun(inputs, outputs)
}

// inside returns an error unless a file of the model is within its folder. A link could lead to a user's
// file, which would then fill a table.
func inside(dir, file string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Stat(filepath.FromSlash(file))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing", file)
	case err != nil:
		return fmt.Errorf("%s is missing, or a link that leads out of the folder", file)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", file)
	}
	return nil
}

// complete returns an error if files are missing that loading needs. TensorFlow itself opens a model
// without its variables, and fails when it runs.
func (g *MetaGraph) complete(dir string) error {
	for _, file := range g.assetFiles {
		if err := inside(dir, "assets/"+file); err != nil {
			return err
		}
	}
	if g.restoreOp == "" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, "variables"))
	if err != nil {
		return errors.New("it has variables, and the folder variables/ is missing")
	}
	index, data := false, false
	for _, e := range entries {
		index = index || e.Name() == "variables.index"
		data = data || strings.HasPrefix(e.Name(), "variables.data-")
	}
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, "variables", e.Name())); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("variables/%s is not a regular file", e.Name())
		}
	}
	switch {
	case !index:
		return errors.New("variables/variables.index is missing")
	case !data:
		return errors.New("variables/variables.data-00000-of-00001 is missing")
	}
	return nil
}
