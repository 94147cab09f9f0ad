package predict

// How Load opens a bundle's graphs and proves them.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"time"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/batching"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// errLoad is the cause of a load that exceeds its time limit.
type errLoad struct{ limit time.Duration }

func (e errLoad) Error() string { return fmt.Sprintf("loading takes longer than %v", e.limit) }

// Load opens a bundle, replays its golden cases and returns its model, with default options. If several of
// the engines open the graph, the one that the bundle names runs it, unless another answers the golden cases
// clearly faster, or within a few microseconds and without a library. Load replays the cases with the engine
// that it chooses, and passes over an engine whose answers differ. [Options.Load] describes the errors.
func Load(ctx context.Context, path string, engines ...Engine) (*Model, error) {
	return Options{}.Load(ctx, path, engines...)
}

// Load is like the function Load, with options. The error wraps a [*bundle.Error] if the bundle is at fault,
// and a [*ParityError] if an answer differs from the training framework's.
func (o Options) Load(ctx context.Context, path string, engines ...Engine) (*Model, error) {
	return o.attended(ctx, path, func(ctx context.Context) (*bundle.Bundle, error) { return bundle.OpenContext(ctx, path) }, engines)
}

// LoadFS is like [Load] for a bundle in any file system, such as one embedded in the program. name is the
// bundle's folder, or "." for the root.
func LoadFS(ctx context.Context, fsys fs.FS, name string, engines ...Engine) (*Model, error) {
	return Options{}.LoadFS(ctx, fsys, name, engines...)
}

// LoadFS is like the function LoadFS, with options.
func (o Options) LoadFS(ctx context.Context, fsys fs.FS, name string, engines ...Engine) (*Model, error) {
	return o.attended(ctx, name, func(ctx context.Context) (*bundle.Bundle, error) { return bundle.OpenFS(ctx, fsys, name) }, engines)
}

type opener = func(context.Context) (*bundle.Bundle, error)

func (o Options) attended(ctx context.Context, path string, open opener, all []Engine) (*Model, error) {
	m, err := o.load(ctx, path, open, all)
	if err != nil {
		return nil, err
	}
	m.attend(func(ctx context.Context) (*Model, error) { return o.load(ctx, path, open, all) })
	return m, nil
}

func (o Options) load(ctx context.Context, path string, open opener, all []Engine) (_ *Model, err error) {
	if o.LoadTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.LoadTimeout, errLoad{o.LoadTimeout})
		defer cancel()
		defer func() {
			if late := (errLoad{}); err != nil && errors.As(context.Cause(ctx), &late) {
				err = &bundle.Error{Bundle: path, Err: fmt.Errorf("%w: %w", late, err)}
			}
		}()
	}
	if ctx.Done() == nil {
		return o.loaded(ctx, path, open, all)
	}
	type loaded struct {
		m   *Model
		err error
	}
	done := make(chan loaded, 1)
	go func() {
		m, err := o.loaded(ctx, path, open, all)
		done <- loaded{m, err}
	}()
	select {
	case l := <-done:
		return l.m, l.err
	case <-ctx.Done():
	}
	select {
	case l := <-done:
		return l.m, l.err
	case <-time.After(loadGrace):
		// A single operation of a replayed case may take hours.
		go func() {
			if l := <-done; l.err == nil {
				_ = l.m.Close()
			}
		}()
		return nil, &bundle.Error{Bundle: path, Err: fmt.Errorf("gave up running the graph: %w", ctx.Err())}
	}
}

// loadGrace is how long a cancelled load may take to return by itself.
const loadGrace = time.Second

func (o Options) loaded(ctx context.Context, path string, open opener, all []Engine) (*Model, error) {
	b, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if o.RequireProof && len(b.Manifest.Golden.Cases) == 0 {
		return nil, &bundle.Error{Bundle: path, Err: fmt.Errorf("%w (%s)", ErrUnproven, printable.Text(b.Manifest.Golden.None))}
	}
	c := choice{all: all, chosen: map[string]engines.Info{}}
	for {
		m, err := o.prove(ctx, b, &c)
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil || !c.again(&b.Manifest, err) {
			return nil, err
		}
	}
}

// prove opens a bundle's graphs with the chosen engines, and replays its cases.
func (o Options) prove(ctx context.Context, b *bundle.Bundle, c *choice) (_ *Model, err error) {
	m := newModel(b, o)
	defer func() {
		if err != nil {
			_ = m.Close()
		}
	}()
	if err := m.open(ctx, b, o, c); err != nil {
		return nil, err
	}
	if err := m.prove(ctx, b, o); err != nil {
		return nil, err
	}
	if err := m.openSigned(ctx, b, o); err != nil {
		return nil, err
	}
	m.attendant.chose(b, c)
	return m, nil
}

func newModel(b *bundle.Bundle, o Options) *Model {
	m := &Model{manifest: b.Manifest, digest: b.Digest, bounds: bounds{time: o.RunTimeout, bytes: o.MaxOutputBytes}}
	m.graphs.Store(&graphs{})
	for _, info := range m.manifest.Inputs {
		m.inputs = append(m.inputs, info.Spec())
		m.renamed = m.renamed || info.Name != info.GraphName
	}
	m.table = newTable(m.manifest.Columns)
	m.row = m.manifest.Row()
	for _, info := range m.manifest.Outputs {
		m.outputs = append(m.outputs, info.GraphName)
		m.renamed = m.renamed || info.Name != info.GraphName
	}
	return m
}

// prove replays the golden cases.
func (m *Model) prove(ctx context.Context, b *bundle.Bundle, o Options) (err error) {
	if m.parity, err = m.replay(ctx, b, o); err != nil {
		return err
	}
	m.batcher.Settle()
	return nil
}

// ErrUnproven is wrapped by the error of Load if [Options.RequireProof] is set and the bundle has no
// golden cases.
var ErrUnproven = errors.New("parity is not proven: it has no golden cases")

func (m *Model) open(ctx context.Context, b *bundle.Bundle, o Options, c *choice) (err error) {
	g := m.graphs.Load()
	settings := SessionOptions{Threads: o.threads(), RunTimeout: o.RunTimeout, MaxOutputBytes: o.MaxOutputBytes}
	g.model, err = c.open(ctx, b, m.manifest.Engine, m.manifest.Graph.Path, func(e Engine) (engines.Session, error) {
		return openGraph(ctx, e, b, settings)
	}, func() ([]trial, error) { return m.trials(b) })
	if err != nil {
		return err
	}
	g.engine = c.chosen[m.manifest.Graph.Path]
	if err := m.take(b, o); err != nil {
		return err
	}
	if p := m.manifest.Picture; p != nil {
		m.decode = pixels.Options{Accept: p.Accept, MaxPixels: o.MaxPixels, Alpha: pixels.Alpha(p.Alpha)}
		return m.openPreprocessing(ctx, b, c, settings)
	}
	return nil
}

// take checks the session against the manifest, and sizes the queue for it.
func (m *Model) take(b *bundle.Bundle, o Options) error {
	if err := matchGraph(m.graphs.Load().model, &m.manifest); err != nil {
		return &bundle.Error{Bundle: b.Path, File: m.manifest.Graph.Path, Err: err}
	}
	limits := o.limits()
	if s, ok := m.graphs.Load().model.(interface{ Threads() int }); ok && o.Threads <= 0 && o.Instances <= 0 {
		// One run does not use all cores.
		limits.Instances = max(1, runtime.GOMAXPROCS(0)/s.Threads())
	}
	together := limits.BatchRows > 1
	limits.BatchRows = m.bounds.batchRows(limits.BatchRows, m.manifestOutputs())
	m.batcher = m.newBatcher(limits)
	m.batcher.RunTime = m.bounds.time
	known := true // the bytes of the outputs for one row
	for _, info := range m.manifest.Outputs {
		if spec := info.Spec(); len(spec.Shape) > 0 && !slices.Contains(spec.Shape[1:], -1) {
			// There is no error: the graph was opened with this shape.
			n, _ := tensor.Count(spec.Shape[1:])
			m.batcher.OutBytes += n * int64(spec.ElementSize())
		} else {
			known = false
		}
	}
	m.sized = known && m.manifest.Graph.Batch == nil
	if together && known && m.freeRows() {
		m.batcher.Split(limits.BatchRows)
	}
	return nil
}

// matchGraph checks the graph's inputs and outputs against the manifest.
func matchGraph(s engines.Session, m *bundle.Manifest) error {
	check := func(kind string, want []bundle.TensorInfo, have []tensor.Spec) error {
		for _, w := range want {
			i := slices.IndexFunc(have, func(h tensor.Spec) bool { return h.Name == w.GraphName })
			if i < 0 {
				return fmt.Errorf("the graph has no %s %q", kind, w.GraphName)
			}
			rank := len(w.Shape)
			if batch := m.Graph.Batch; batch != nil && *batch == 0 {
				rank--
			}
			if have[i].DType != w.DType || (have[i].Shape != nil && len(have[i].Shape) != rank) {
				return fmt.Errorf("the graph's %s %q is %s%v, the manifest says %s%v", kind, w.GraphName,
					have[i].DType, have[i].Shape, w.DType, w.Spec().Shape)
			}
		}
		return nil
	}
	if err := check("input", m.Inputs, s.Inputs()); err != nil {
		return err
	}
	if n := len(s.Inputs()); n != len(m.Inputs) {
		return fmt.Errorf("the graph has %d inputs, the manifest says %d", n, len(m.Inputs))
	}
	return check("output", m.Outputs, s.Outputs())
}

func (m *Model) manifestOutputs() (specs []tensor.Spec) {
	for _, info := range m.manifest.Outputs {
		specs = append(specs, info.Spec())
	}
	return specs
}

// newBatcher returns a batcher for the model's graph. It does not batch if the first dimension of an input
// or output is fixed.
func (m *Model) newBatcher(l batching.Limits) *batching.Batcher {
	var names []string
	if !m.freeRows() {
		l.BatchRows = 1
	}
	for _, s := range m.inputs {
		names = append(names, s.Name)
	}
	return batching.New(l, names, m.compute)
}

// freeRows reports whether the graph takes any number of rows.
func (m *Model) freeRows() bool {
	return !slices.ContainsFunc(slices.Concat(m.manifest.Inputs, m.manifest.Outputs), func(info bundle.TensorInfo) bool {
		return len(info.Shape) == 0 || info.Shape[0] != nil
	})
}
