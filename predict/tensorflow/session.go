package tensorflow

/*
#include <stdlib.h>
#include "capi.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// session is a signature of a loaded graph.
type session struct {
	*opened
	inputs, outputs []end
	// others are the graph's other signatures; nil for one of these, which does not own the graph.
	others map[string]*session
}

// opened is a graph that TensorFlow has loaded.
type opened struct {
	// closing waits for runs: each holds the lock for reading.
	closing sync.RWMutex
	graph   *C.TF_Graph
	tf      *C.TF_Session // nil once closed
	left    atomic.Int32  // runs that were given up and have not ended
	idle    chan func()   // to goroutines that have run before and wait; closed with the session
}

const (
	// grace is how long a run has to end once it is given up: between two steps of a loop it does.
	grace = time.Second
	// maxLeft is how many runs may be left behind, each with a core and its memory.
	maxLeft = 4
	// invalidArgument is TensorFlow's code for values that an operation does not take.
	invalidArgument = 3
)

// end is an input or output, found in the graph.
type end struct {
	tensor.Spec
	at C.TF_Output
}

// load opens a graph of the SavedModel in dir, and returns its MetaGraphDef.
func load(dir string, tags []string, threads int) (*session, []byte, error) {
	path := C.CString(dir)
	defer C.free(unsafe.Pointer(path))
	names := make([]*C.char, len(tags)+1)
	for i, tag := range tags {
		names[i] = C.CString(tag)
		defer C.free(unsafe.Pointer(names[i]))
	}
	settings := config(threads)
	s := &session{opened: &opened{idle: make(chan func())}, others: map[string]*session{}}
	var meta C.TF_Buffer
	err := failed(C.forgo_tf_load(path, &names[0], C.int(len(tags)), unsafe.Pointer(&settings[0]), C.size_t(len(settings)),
		&s.graph, &s.tf, &meta))
	if err != nil {
		return nil, nil, err
	}
	defer C.forgo_tf_free_buffer(&meta)
	return s, slices.Clone(unsafe.Slice((*byte)(meta.data), int(meta.length))), nil
}

// config is a serialized ConfigProto.
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

// find looks the ends up in the graph, and takes from there what they do not say themselves.
func (s *opened) find(ends []End) ([]end, error) {
	var out []end
	for _, e := range ends {
		operation, index := split(e.Tensor)
		name := C.CString(operation)
		defer C.free(unsafe.Pointer(name))
		found := end{Spec: e.Spec}
		var rank C.int
		var dims [C.FORGO_MAX_RANK]C.int64_t
		number := C.forgo_tf_find(s.graph, name, C.int(index), &found.at, &rank, &dims[0])
		if number == 0 {
			return nil, fmt.Errorf("operation %q has no output %d", operation, index)
		}
		if found.DType = dtypeOf(uint64(number)); found.DType == "" {
			return nil, fmt.Errorf("%q is of TensorFlow's type number %d, which is not supported", e.Name, number)
		}
		if found.Shape == nil && rank >= 0 {
			found.Shape = make([]int64, rank)
			for i := range found.Shape {
				found.Shape[i] = int64(dims[i])
			}
		}
		out = append(out, found)
	}
	return out, nil
}

func specs(ends []end) []tensor.Spec {
	out := make([]tensor.Spec, len(ends))
	for i, e := range ends {
		out[i] = e.Spec
	}
	return out
}

func (s *session) Inputs() []tensor.Spec  { return specs(s.inputs) }
func (s *session) Outputs() []tensor.Spec { return specs(s.outputs) }

// Left is how many runs that were given up have not ended.
func (s *opened) Left() int { return int(s.left.Load()) }

// Signed returns the session of another signature.
func (s *session) Signed(name string) predict.Session {
	if other := s.others[name]; other != nil {
		return other
	}
	return nil
}

// Close does not wait for runs that were left behind: the graph is freed when they have ended.
func (s *session) Close() error {
	if s.others == nil {
		return nil
	}
	if s.left.Load() > 0 {
		go func() { _ = s.close() }()
		return nil
	}
	return s.close()
}

func (s *opened) close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.tf != nil {
		C.forgo_tf_close(s.graph, s.tf)
		close(s.idle)
	}
	s.tf = nil
	return nil
}

// Run is given up when ctx's deadline passes; TensorFlow cannot be told of another end of ctx. Where an
// operation goes on all the same, Run returns and leaves it behind. While several have not ended, no
// other is started.
func (s *session) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	fetched, err := s.check(inputs, outputs)
	if err != nil {
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	if n := s.left.Load(); n >= maxLeft {
		return nil, fmt.Errorf("run SavedModel: %d runs that were given up have not ended; load the model again: %w", n, context.DeadlineExceeded)
	}
	r, err := s.prepare(inputs, fetched)
	if err != nil {
		return nil, fmt.Errorf("run SavedModel: %w", err)
	}
	if ctx.Done() == nil {
		defer r.free()
		return r.answer(r.run(ctx))
	}
	ended := make(chan error, 1)
	s.aside(func() { ended <- r.run(ctx) })
	select {
	case err := <-ended:
		defer r.free()
		return r.answer(err)
	case <-ctx.Done():
	}
	// One whose callers have left keeps its turn until the time is over that TensorFlow was given.
	var over <-chan time.Time // never, without one
	if deadline, ok := ctx.Deadline(); ok {
		over = time.After(max(0, time.Until(deadline)) + grace)
	}
	select {
	case err := <-ended:
		defer r.free()
		return r.answer(err)
	case <-over:
		s.left.Add(1)
		go func() {
			<-ended
			s.left.Add(-1)
			r.free()
		}()
		return nil, fmt.Errorf("run SavedModel: %w", ctx.Err())
	}
}

// aside calls f in a goroutine that is used again for the next call. The session must be held open.
func (s *opened) aside(f func()) {
	select {
	case s.idle <- f:
	default:
		go func() {
			for ; f != nil; f = <-s.idle {
				f()
			}
		}()
	}
}

// run is one under way. It holds the session open, and its own copies of the inputs.
type run struct {
	s       *session
	at      []C.TF_Output // inputs, then outputs
	values  []*C.TF_Tensor
	inputs  int // how many of them
	fetched []end
}

func (s *session) prepare(inputs predict.Tensors, fetched []end) (_ *run, err error) {
	s.closing.RLock()
	r := &run{s: s, values: make([]*C.TF_Tensor, len(s.inputs)+len(fetched)), inputs: len(s.inputs), fetched: fetched} // never empty, see check
	defer func() {
		if err != nil {
			r.free()
		}
	}()
	if s.tf == nil {
		return nil, errors.New("the session is closed")
	}
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

// free lets go of the tensors, and of the session.
func (r *run) free() {
	C.forgo_tf_delete(&r.values[0], C.int(len(r.values)))
	r.s.closing.RUnlock()
}

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

// check holds a call to the graph, and returns the outputs asked for, in the graph's order:
// TensorFlow prepares anew for each other order.
func (s *session) check(inputs predict.Tensors, outputs []string) ([]end, error) {
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
		if !slices.ContainsFunc(s.outputs, func(o end) bool { return o.Name == name }) {
			return nil, fmt.Errorf("the model has no output %q", name)
		}
	}
	var fetched []end
	for _, o := range s.outputs {
		if slices.Contains(outputs, o.Name) {
			fetched = append(fetched, o)
		}
	}
	if len(fetched) == 0 {
		return nil, errors.New("no output is asked for")
	}
	return fetched, nil
}

// badInput is the caller's fault.
type badInput struct{ error }

func (badInput) Is(target error) bool { return target == predict.ErrInput }

func (s *opened) run(ctx context.Context, inputs []C.TF_Output, values []*C.TF_Tensor, outputs []C.TF_Output, results []*C.TF_Tensor) error {
	var limit int64
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(1, time.Until(deadline).Milliseconds())
	}
	e := C.forgo_tf_run(s.tf, C.int64_t(limit), unsafe.SliceData(inputs), unsafe.SliceData(values), C.int(len(inputs)),
		unsafe.SliceData(outputs), unsafe.SliceData(results), C.int(len(outputs)))
	err := failed(e)
	if e.code == C.FORGO_DEADLINE_EXCEEDED && limit > 0 {
		return context.DeadlineExceeded
	}
	if e.code == invalidArgument {
		return badInput{err}
	}
	return err
}

// failed makes an error of what TensorFlow says, the first line of it: the others are traces.
func failed(e C.forgo_error) error {
	if e.message == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(e.message))
	text, _, _ := strings.Cut(C.GoString(e.message), "\n")
	return errors.New(strings.TrimSpace(text))
}
