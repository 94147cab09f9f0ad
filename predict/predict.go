// Package predict answers with the models of forgo bundles, as the training framework did.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//		"os"
//
//		"github.com/forgo-ml/forgo/predict"
//		"github.com/forgo-ml/forgo/predict/onnx"
//	)
//
//	func main() {
//		ctx := context.Background()
//		m, err := predict.Load(ctx, "digits.forgo", onnx.Engine())
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer m.Close()
//		picture, err := os.ReadFile("seven.png")
//		if err != nil {
//			log.Fatal(err)
//		}
//		classes, err := m.Classify(ctx, picture)
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(classes[0].Label, classes[0].Score)
//	}
//
// [Load] replays the bundle's golden cases in this process, through the code that will answer. It fails with
// a [*ParityError] if an answer differs from the training framework's. A [Model] is safe for concurrent use:
// requests that arrive while the engine is busy wait and run together as the next batch, within the bounds of
// [Options].
package predict

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/batching"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Verify says how many golden cases Load replays. Load always replays some, if the bundle has any.
type Verify int

const (
	// VerifyFull replays every case.
	VerifyFull Verify = iota
	// VerifyQuick replays the first few cases, of which training was least certain.
	VerifyQuick
)

// Options tune Load. The zero value is useful.
type Options struct {
	// Verify is optional: VerifyFull unless set.
	Verify Verify
	// RequireProof makes Load fail with [ErrUnproven] for a bundle without golden cases. Optional: the
	// bundle loads, and [Model.Parity] says that nothing is proven.
	RequireProof bool
	// Threads is the number of threads that one run of the model may use. Optional: as many as the process
	// may run at once, which in a container is its CPU limit.
	Threads int
	// Instances is the number of concurrent runs of the model. Optional: if Threads is not set, one, which
	// uses every core; otherwise the number of cores divided by Threads. If Instances is set and Threads
	// is not, the instances share the cores.
	Instances int
	// MaxBatchRows is the number of rows from waiting requests that run together. Optional: 32. A larger
	// request runs in parts of at least MaxBatchRows rows, or of more if they take no longer than a few
	// milliseconds, so that other callers have their turn. It runs whole if the model's outputs have other
	// free dimensions than the batch. With 1, every request runs alone and whole.
	MaxBatchRows int
	// MaxDelay is how long a request may wait for others to fill its batch while the engine is free.
	// Optional: 0, so that batches form only while the engine is busy.
	MaxDelay time.Duration
	// MaxQueueRows is the number of rows that may wait. Requests beyond it fail with [ErrBusy]. Optional:
	// 512, enough for 64 callers with 8 rows each.
	MaxQueueRows int
	// MaxQueueBytes bounds the memory of waiting requests, in bytes, both as sent and as tensors. Requests
	// beyond it fail with [ErrBusy]. Optional: 1 GiB.
	MaxQueueBytes int64
	// MaxWait bounds the time in the queue, as estimated from the rows ahead and the recent rate of
	// answers. Requests that would wait longer fail with [ErrBusy]. Optional: no bound but the queue's
	// own.
	MaxWait time.Duration
	// Budget bounds the memory of the requests to all models that share it. Optional: only MaxQueueBytes
	// bounds it.
	Budget *Budget
	// MaxPixels bounds the width times height of pictures, including those of golden cases. Optional:
	// [pixels.MaxPixels], which is also the maximum.
	MaxPixels int
	// RunTimeout bounds one run of the graph, and all runs of one request together. A run that takes
	// longer is abandoned, and its callers' errors wrap context.DeadlineExceeded. ONNX Runtime ends a run
	// between two operations, TensorFlow between two steps of a loop; see [SessionOptions]. Optional: no
	// bound.
	RunTimeout time.Duration
	// MaxOutputBytes bounds the outputs of one request together, in bytes. A request whose outputs are
	// larger fails with [ErrInput]: before it runs if the graph determines their sizes from those of its
	// inputs, and afterwards otherwise. Optional: no bound.
	MaxOutputBytes int64
	// LoadTimeout bounds the time for checking digests, opening the graph and the replay. After it, Load
	// returns without waiting for the engine, and closes the graph once the engine comes back. Optional:
	// no bound.
	LoadTimeout time.Duration
}

// errLoad is the cause of a load that exceeds its time limit.
type errLoad struct{ limit time.Duration }

func (e errLoad) Error() string { return fmt.Sprintf("loading takes longer than %v", e.limit) }

// Load opens a bundle, replays its golden cases and returns its model, with default options. The engines
// are those that the process has. If several open the graph, the engine that the bundle names runs it,
// unless another answers the golden cases clearly faster. Load replays the cases with the engine that it
// chooses, and passes over one whose answers differ.
func Load(ctx context.Context, path string, engines ...Engine) (*Model, error) {
	return Options{}.Load(ctx, path, engines...)
}

// Load is like the function Load, with options. The error is a [*bundle.Error] if the bundle is at fault,
// and a [*ParityError] if this process answers differently from training.
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
	case <-time.After(loadGrace): // a single operation of a replayed case may take hours
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

type inputError struct{ error }

func (e inputError) Is(target error) bool { return target == ErrInput }
func (e inputError) Unwrap() error        { return e.error }

// Model is a loaded and verified model. It is safe for concurrent use. Close it when done.
type Model struct {
	manifest  bundle.Manifest
	digest    string
	parity    Parity
	inputs    []tensor.Spec  // by logical names
	table     table          // what the columns of a model of tables may hold
	row       payload.Inputs // what a JSON row gives
	outputs   []string       // graph names
	renamed   bool           // where a graph name is not the logical one
	graphs    atomic.Pointer[graphs]
	attendant attendant
	decode    pixels.Options
	batcher   *batching.Batcher // nil until the graph is open
	bounds    bounds

	preprocessing preprocessing

	goldenShapes map[string][]int64

	signed []*Model // other signatures, which run the same graph
}

// graphs are the sessions that a model runs.
type graphs struct {
	model      engines.Session // nil until it is open
	engine     engines.Info
	preprocess engines.Session // nil unless an engine prepares the model's pictures
}

func (g *graphs) list() (open []engines.Session) {
	for _, s := range []engines.Session{g.model, g.preprocess} {
		if s != nil {
			open = append(open, s)
		}
	}
	return open
}

func (g *graphs) close() error {
	var errs []error
	for _, s := range g.list() {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Manifest returns the bundle's manifest. The caller must not change it.
func (m *Model) Manifest() *bundle.Manifest { return &m.manifest }

// Inputs returns the specs of the model's inputs, in order. The caller must not change them.
func (m *Model) Inputs() []tensor.Spec { return m.inputs }

// Digest returns the bundle's identity: the SHA-256 of its manifest, in hex.
func (m *Model) Digest() string { return m.digest }

// Parity returns the result of the replay at load.
func (m *Model) Parity() Parity { return m.parity }

// Close waits for the calls that run or wait, and frees the graphs. Later calls fail with [ErrClosed] or
// an error of the engine.
func (m *Model) Close() error {
	m.attendant.leave()
	for _, s := range m.signed {
		_ = s.Close() // which owns no graph
	}
	if m.batcher != nil {
		m.batcher.Close()
	}
	return m.graphs.Load().close()
}

func (m *Model) open(ctx context.Context, b *bundle.Bundle, o Options, c *choice) (err error) {
	g := m.graphs.Load() // nobody else has it yet
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
		limits.Instances = max(1, runtime.GOMAXPROCS(0)/s.Threads()) // whose runs leave cores to others
	}
	together := limits.BatchRows > 1
	limits.BatchRows = m.bounds.batchRows(limits.BatchRows, m.manifestOutputs())
	m.batcher = m.newBatcher(limits)
	m.batcher.RunTime = m.bounds.time
	known := true // what its outputs take for a row
	for _, info := range m.manifest.Outputs {
		if spec := info.Spec(); len(spec.Shape) > 0 && !slices.Contains(spec.Shape[1:], -1) {
			n, _ := tensor.Count(spec.Shape[1:]) // the graph has just been opened with it
			m.batcher.OutBytes += n * int64(spec.ElementSize())
		} else {
			known = false
		}
	}
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

// Run computes the model's outputs for a batch. Inputs and outputs have the manifest's names, and the
// first dimension of each tensor is the batch. Run may combine the requests of several callers; none sees
// the others' rows.
//
// Run only reads the inputs. The caller owns the outputs. Outputs of requests that ran together share
// memory, so copy them to keep a few rows for long.
//
// The error wraps [ErrInput] if the inputs do not fit the model, and is [ErrBusy] if too many requests
// wait, or ctx.Err() if ctx ends first.
func (m *Model) Run(ctx context.Context, inputs Tensors) (Tensors, error) {
	place := m.batcher.Empty()
	out, _, err := m.run(ctx, &place, inputs)
	return out, err
}

// run is Run with a reservation in the queue. It also returns how long the call waited for the engine and
// how long the run took, even if the call fails.
func (m *Model) run(ctx context.Context, place *admission.Reservation, inputs Tensors) (Tensors, serving.Timing, error) {
	rows, err := m.check(inputs)
	if err != nil {
		return nil, serving.Timing{}, inputError{err}
	}
	if bytes := int64(rows) * m.batcher.OutBytes; m.bounds.bytes > 0 && bytes > m.bounds.bytes {
		return nil, serving.Timing{}, m.bounds.tooLarge(bytes)
	}
	return m.batcher.Do(ctx, place, inputs, rows)
}

// check checks inputs against the model and returns their number of rows.
func (m *Model) check(inputs Tensors) (int, error) {
	rows := -1
	for _, spec := range m.inputs {
		t, ok := inputs[spec.Name]
		if !ok {
			return 0, fmt.Errorf("input %q is missing: got %s, the model takes %s", spec.Name, m.namesOf(inputs), m.namesOf(nil))
		}
		if err := spec.Match(t); err != nil {
			return 0, err
		}
		if err := m.table.check(spec.Name, t); err != nil {
			return 0, err
		}
		if rows >= 0 && t.Rows() != rows {
			return 0, fmt.Errorf("input %q has %d rows, another has %d", spec.Name, t.Rows(), rows)
		}
		rows = t.Rows()
	}
	for name := range inputs {
		if !slices.ContainsFunc(m.inputs, func(s tensor.Spec) bool { return s.Name == name }) {
			return 0, fmt.Errorf("the model has no input %q", name)
		}
	}
	return rows, nil
}

// namesOf lists the names of inputs, or those that the model takes if inputs is nil.
func (m *Model) namesOf(inputs Tensors) string {
	names := slices.Sorted(maps.Keys(inputs))
	if inputs == nil {
		for _, spec := range m.inputs {
			names = append(names, spec.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return tensor.Cut(strings.Trim(fmt.Sprintf("%q", names), "[]"))
}

// compute runs the graph and translates between the manifest's names and the graph's.
func (m *Model) compute(ctx context.Context, inputs Tensors, rows int) (Tensors, error) {
	g := m.graphs.Load()
	out, err := m.computeIn(ctx, g.model, inputs, rows)
	return out, m.replaced(g, err)
}

func (m *Model) computeIn(ctx context.Context, s engines.Session, inputs Tensors, rows int) (Tensors, error) {
	if m.renamed {
		graphInputs := make(Tensors, len(inputs))
		for _, info := range m.manifest.Inputs {
			graphInputs[info.GraphName] = inputs[info.Name]
		}
		inputs = graphInputs
	}
	once := func(ctx context.Context, inputs Tensors) (Tensors, error) {
		return m.bounds.run(ctx, s, inputs, m.outputs)
	}
	var results Tensors
	var err error
	if batch := m.manifest.Graph.Batch; batch != nil {
		results, err = parts(ctx, *batch, inputs, rows, once)
	} else {
		results, err = once(ctx, inputs)
	}
	if err != nil {
		return nil, err
	}
	out := results
	if m.renamed {
		out = make(Tensors, len(m.outputs))
	}
	for _, info := range m.manifest.Outputs {
		t := results[info.GraphName]
		if t.Rows() != rows {
			return nil, fmt.Errorf("output %q has %d rows for %d", info.Name, t.Rows(), rows)
		}
		if err := t.Check(); err != nil { // whose rows could not be told apart
			return nil, fmt.Errorf("output %q: %w", info.Name, err)
		}
		if m.renamed {
			out[info.Name] = t
		}
	}
	return out, nil
}
