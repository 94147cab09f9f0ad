// Package predict runs the models of forgo bundles, and gives the training framework's answers.
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
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/internal/admission"
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
	// VerifyQuick replays the four least certain cases.
	VerifyQuick
)

// Options tune Load. The zero value is useful.
type Options struct {
	// Verify says how many golden cases Load replays. Optional: [VerifyFull], all of them.
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

type inputError struct{ error }

func (e inputError) Is(target error) bool { return target == ErrInput }
func (e inputError) Unwrap() error        { return e.error }

// Model is a loaded and verified model. It is safe for concurrent use. Close it when done.
type Model struct {
	manifest  bundle.Manifest
	digest    string
	parity    Parity
	inputs    []tensor.Spec  // by logical names
	table     table          // the values that a table's columns may hold
	row       payload.Inputs // the inputs of a JSON row
	outputs   []string       // graph names
	renamed   bool           // whether a graph name differs from the logical one
	graphs    atomic.Pointer[graphs]
	attendant attendant
	decode    pixels.Options
	batcher   *batching.Batcher // nil until the graph is open
	bounds    bounds
	sized     bool // each row's outputs take batcher.OutBytes, which run checks

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
		_ = s.Close() // it owns no graph
	}
	if m.batcher != nil {
		m.batcher.Close()
	}
	return m.graphs.Load().close()
}

// Run computes the model's outputs for a batch. Inputs and outputs have the manifest's names, and the
// first dimension of each tensor is the batch. Run may combine the requests of several callers; none sees
// the others' rows.
//
// Run only reads the inputs. The caller owns the outputs. Outputs of requests that ran together share
// memory, so copy them to keep a few rows for long.
//
// The error wraps [ErrInput] if the inputs do not fit the model, [ErrBusy] if too many requests wait,
// [ErrClosed] after Close, [ErrUnavailable] if the engine has ended, and ctx.Err() if ctx ends first.
func (m *Model) Run(ctx context.Context, inputs Tensors) (Tensors, error) {
	reservation := m.batcher.Empty()
	out, _, err := m.run(ctx, &reservation, inputs)
	return out, err
}

// run is Run with a reservation in the queue. It also returns how long the call waited for the engine and
// how long the run took, even if the call fails.
func (m *Model) run(ctx context.Context, reservation *admission.Reservation, inputs Tensors) (Tensors, serving.Timing, error) {
	rows, err := m.check(inputs)
	if err != nil {
		return nil, serving.Timing{}, inputError{err}
	}
	if bytes := int64(rows) * m.batcher.OutBytes; m.bounds.bytes > 0 && bytes > m.bounds.bytes {
		return nil, serving.Timing{}, m.bounds.tooLarge(bytes)
	}
	return m.batcher.Do(ctx, reservation, inputs, rows)
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
		if m.sized {
			return m.bounds.admitted(ctx, s, inputs, m.outputs)
		}
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
		// The rows of others could not be told apart.
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("output %q: %w", info.Name, err)
		}
		if m.renamed {
			out[info.Name] = t
		}
	}
	return out, nil
}
