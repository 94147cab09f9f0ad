package tensorflow

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/abandon"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// session is a signature of a loaded graph.
type session struct {
	*opened
	inputs, outputs []graphTensor
	// others are the graph's other signatures. It is nil for one of these, which does not own the graph.
	others map[string]*session
}

// opened is a graph that TensorFlow has loaded.
type opened struct {
	graph uintptr
	tf    uintptr
	runs  *abandon.Calls
}

// graphTensor is an input or output that was found in the graph.
type graphTensor struct {
	tensor.Spec
	at output
}

// load opens a graph of the SavedModel in dir, and returns its MetaGraphDef.
func load(dir string, tags []string, threads int) (*session, []byte, error) {
	graph, opening, meta, err := loadModel(dir, tags, config(threads))
	if err != nil {
		return nil, nil, err
	}
	s := &session{opened: &opened{graph: graph, tf: opening, runs: abandon.New()}, others: map[string]*session{}}
	return s, meta, nil
}

// config returns a serialized ConfigProto.
func config(threads int) []byte {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	number := func(b []byte, field protowire.Number, value int) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(value))
	}
	noGPU := number(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "GPU"), 2, 0)
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), noGPU) // device_count
	b = number(b, 2, threads)                                                           // intra_op_parallelism_threads
	// One thread of the session's own runs the operations of runs that have a deadline; the
	// others stay in their caller's. More of them make small models slower.
	b = number(b, 5, 1) // inter_op_parallelism_threads
	b = number(b, 9, 1) // use_per_session_threads
	b = number(b, 7, 1) // allow_soft_placement: a model may have been trained on a GPU
	// The optimizer does not take functions for others that are said to implement the same.
	rewriter := number(nil, 22, 2) // implementation_selector: OFF
	graph := protowire.AppendBytes(protowire.AppendTag(nil, 10, protowire.BytesType), rewriter)
	return protowire.AppendBytes(protowire.AppendTag(b, 10, protowire.BytesType), graph) // graph_options
}

// find finds the tensors in the graph, and fills in the types and shapes that they lack.
func (s *opened) find(tensors []NamedTensor) ([]graphTensor, error) {
	var out []graphTensor
	for _, e := range tensors {
		operation, index := split(e.Tensor)
		found := graphTensor{Spec: e.Spec}
		at, number, shape, known := findOutput(s.graph, operation, index)
		if number == 0 {
			return nil, fmt.Errorf("operation %q has no output %d", operation, index)
		}
		found.at = at
		if found.DType = dtypeOf(uint64(number)); found.DType == "" {
			return nil, fmt.Errorf("%q has TensorFlow's type number %d, which is not supported", e.Name, number)
		}
		if found.Shape == nil && known {
			found.Shape = shape
		}
		out = append(out, found)
	}
	return out, nil
}

func specs(tensors []graphTensor) []tensor.Spec {
	out := make([]tensor.Spec, len(tensors))
	for i, e := range tensors {
		out[i] = e.Spec
	}
	return out
}

func (s *session) Inputs() []tensor.Spec  { return specs(s.inputs) }
func (s *session) Outputs() []tensor.Spec { return specs(s.outputs) }

// Left returns the number of abandoned runs that have not ended.
func (s *opened) Left() int { return s.runs.Left() }

// Signed returns the session of another signature.
func (s *session) Signed(name string) engines.Session {
	if other := s.others[name]; other != nil {
		return other
	}
	return nil
}

// Close does not wait for abandoned runs. The graph is freed when they have ended.
func (s *session) Close() error {
	if s.others == nil {
		return nil
	}
	s.runs.Close(func() { closeModel(s.graph, s.tf) })
	return nil
}

// Run abandons the run when ctx's deadline passes. TensorFlow cannot learn of another end of ctx. If the
// operation continues, Run returns without waiting for it. While several abandoned runs have not ended, no
// other starts.
func (s *session) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	fetched, err := s.check(inputs, outputs)
	if err != nil {
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	if err := s.runs.Begin(); err != nil {
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	r, err := s.prepare(inputs, fetched)
	if err != nil {
		s.runs.End()
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	abandoned := false
	if ctx.Done() == nil {
		err = r.run(ctx)
	} else {
		abandoned, err = s.runs.Do(ctx, func() error { return r.run(ctx) }, r.free)
	}
	if abandoned {
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	defer s.runs.End()
	defer r.free()
	return r.answer(err)
}

// run is a run under way. It has its own copies of the inputs.
type run struct {
	s       *session
	at      []output // inputs, then outputs
	values  []uintptr
	inputs  int // how many of them
	fetched []graphTensor
}

func (s *session) prepare(inputs predict.Tensors, fetched []graphTensor) (_ *run, err error) {
	r := &run{s: s, values: make([]uintptr, len(s.inputs)+len(fetched)), inputs: len(s.inputs), fetched: fetched} // never empty, see check
	defer func() {
		if err != nil {
			r.free()
		}
	}()
	for i, in := range s.inputs {
		if r.values[i], err = toTensor(inputs[in.Name]); err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		r.at = append(r.at, in.at)
	}
	for _, out := range fetched {
		r.at = append(r.at, out.at)
	}
	return r, nil
}

// free releases the tensors.
func (r *run) free() { freeTensors(r.values...) }

func (r *run) run(ctx context.Context) error {
	n := r.inputs
	return r.s.run(ctx, r.at[:n], r.values[:n], r.at[n:], r.values[n:])
}

func (r *run) answer(err error) (predict.Tensors, error) {
	if err != nil {
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	out := make(predict.Tensors, len(r.fetched))
	for i, f := range r.fetched {
		if out[f.Name], err = fromTensor(r.values[r.inputs+i]); err != nil {
			return nil, fmt.Errorf("run SavedModel: output %q: %w", f.Name, err)
		}
	}
	return out, nil
}

// check checks a call against the graph. It returns the wanted outputs in the graph's order, since
// TensorFlow prepares anew for each other order.
func (s *session) check(inputs predict.Tensors, outputs []string) ([]graphTensor, error) {
	for _, in := range s.inputs {
		t, ok := inputs[in.Name]
		if !ok {
			return nil, fmt.Errorf("input %q is missing", in.Name)
		}
		if err := in.Match(t); err != nil {
			return nil, err
		}
	}
	if len(inputs) > len(s.inputs) {
		return nil, fmt.Errorf("%d inputs given, the model has %d", len(inputs), len(s.inputs))
	}
	for _, name := range outputs {
		if !slices.ContainsFunc(s.outputs, func(o graphTensor) bool { return o.Name == name }) {
			return nil, fmt.Errorf("the model has no output %q", name)
		}
	}
	var fetched []graphTensor
	for _, o := range s.outputs {
		if slices.Contains(outputs, o.Name) {
			fetched = append(fetched, o)
		}
	}
	if len(fetched) == 0 {
		return nil, errors.New("no outputs requested")
	}
	return fetched, nil
}

// badInput is an error in the caller's input.
type badInput struct{ error }

func (badInput) Is(target error) bool { return target == predict.ErrInput }

func (s *opened) run(ctx context.Context, inputs []output, values []uintptr, outputs []output, results []uintptr) error {
	var options []byte
	if deadline, ok := ctx.Deadline(); ok {
		limit := max(1, time.Until(deadline).Milliseconds())
		options = protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), uint64(limit)) // timeout_in_ms
	}
	f := runModel(s.tf, options, inputs, values, outputs, results)
	switch {
	case f.code == deadlineExceeded && options != nil:
		return context.DeadlineExceeded
	case f.code == invalidArgument:
		return badInput{f.error}
	}
	return f.error
}
