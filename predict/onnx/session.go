package onnx

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/abandon"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/onnx/internal/ort"
	"github.com/forgo-ml/forgo/predict/tensor"
)

type session struct {
	inputs, outputs []tensor.Spec
	dims            map[string][]string // the names of free dimensions, by input or output
	short           bool                // whether a run ends soon after its context, so that nobody abandons it

	runs *abandon.Calls
	lib  *ort.Library
	ort  *ort.Session
	idle bindings

	// ownShapes is set once an output has had another shape than the graph declares.
	ownShapes atomic.Bool

	// running counts the bytes of the inputs of all large runs under way.
	running atomic.Int64
}

// ONNX Runtime keeps the memory of a run for later ones. A run with inputs of largeRun bytes, or one that
// starts while others have crowded bytes, returns unused memory when it ends. That costs it a few percent.
const (
	largeRun = 4 << 20
	crowded  = 8 << 20
)

// maxPlaced bounds the memory of an output that is allocated by its declared shape, in bytes.
const maxPlaced = 64 << 20

func newSession(lib *ort.Library, data []byte, info Info, o predict.SessionOptions) (*session, error) {
	threads := o.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	names := func(specs []tensor.Spec) []string {
		out := make([]string, len(specs))
		for i, s := range specs {
			out[i] = s.Name
		}
		return out
	}
	opened, err := lib.NewSession(data, threads, names(info.Inputs), names(info.Outputs))
	if err != nil {
		return nil, err
	}
	return &session{inputs: info.Inputs, outputs: info.Outputs, dims: info.dims, lib: lib, ort: opened, short: info.short(), runs: abandon.New()}, nil
}

func (s *session) Inputs() []tensor.Spec  { return slices.Clone(s.inputs) }
func (s *session) Outputs() []tensor.Spec { return slices.Clone(s.outputs) }

// OutputShape takes sizes from inputs whose dimensions have the same names.
func (s *session) OutputShape(name string, inputs predict.Tensors) []int64 {
	return onnxformat.OutputShape(name, s.inputs, s.outputs, s.dims, inputs)
}

// Left returns the number of abandoned runs that have not ended.
func (s *session) Left() int { return s.runs.Left() }

// Close does not wait for abandoned runs. The session is freed when they have ended.
func (s *session) Close() error {
	s.runs.Close(func() {
		s.idle.close()
		s.ort.Close()
	})
	return nil
}

// Run ends the graph between two operations when ctx ends. If an operation goes on beyond ctx's deadline, Run returns
// without waiting for it. While several abandoned runs have not ended, no other starts.
func (s *session) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	if err := engines.CheckSpecs(s.inputs, s.outputs, inputs, outputs); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	if err := s.runs.Begin(); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	result, abandoned, err := s.run(ctx, inputs, outputs)
	if !abandoned {
		s.runs.End()
	}
	if err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	return result, nil
}

// stays reports that a run stays in its caller's goroutine until it ends.
func (s *session) stays(ctx context.Context) bool { return s.short || ctx.Done() == nil }

// run allocates outputs itself if the graph declares their shapes, which costs least.
func (s *session) run(ctx context.Context, inputs predict.Tensors, outputs []string) (_ predict.Tensors, abandoned bool, err error) {
	if s.ownShapes.Load() {
		return s.place(ctx, inputs, outputs, nil)
	}
	var result predict.Tensors
	b, err := s.binding(inputs)
	switch {
	case err != nil:
	case b != nil:
		result, abandoned, err = s.runBound(ctx, b, inputs, outputs)
	default:
		result, abandoned, err = s.place(ctx, inputs, outputs, s.shapes(inputs))
	}
	if err == nil || ctx.Err() != nil {
		return result, abandoned, err
	}
	// The shapes may have been the cause. If so, they are not used again.
	result, abandoned, again := s.place(ctx, inputs, outputs, nil)
	if again != nil {
		return nil, abandoned, err
	}
	s.ownShapes.Store(true)
	return result, false, nil
}

// shapes returns the expected shapes of the outputs, or nil for those that ONNX Runtime allocates. An
// output that is also an input is not written to.
func (s *session) shapes(inputs predict.Tensors) [][]int64 {
	shapes := make([][]int64, len(s.outputs))
	for i, spec := range s.outputs {
		size := int64(spec.DType.ElementSize())
		if size == 0 || spec.Shape == nil || slices.ContainsFunc(s.inputs, func(in tensor.Spec) bool { return in.Name == spec.Name }) {
			continue
		}
		shape := append(make([]int64, 0, len(spec.Shape)), spec.Shape...)
		if len(shape) > 0 && shape[0] < 0 && len(s.inputs) > 0 {
			shape[0] = int64(inputs[s.inputs[0].Name].Rows())
		}
		if n, err := tensor.Count(shape); err == nil && n*size <= maxPlaced {
			shapes[i] = shape
		}
	}
	return shapes
}

// placed is a run whose outputs go into new memory, if their shapes are known.
type placed struct {
	s       *session
	pinned  runtime.Pinner
	size    int64 // of the inputs, in bytes
	in, out []ort.Value
	wanted  []int // the outputs' indices
	shapes  [][]int64
	memory  [][]byte // of the outputs with known shapes
	stop    *ort.Stop
}

// place runs the graph on the caller's memory. An abandoned run keeps that memory and goes on reading it, whatever its
// next owner writes there: nobody reads the answer.
func (s *session) place(ctx context.Context, inputs predict.Tensors, outputs []string, shapes [][]int64) (_ predict.Tensors, abandoned bool, err error) {
	p := &placed{s: s, in: make([]ort.Value, 0, len(s.inputs)), out: make([]ort.Value, 0, len(outputs)), shapes: shapes}
	defer func() {
		if !abandoned {
			p.free()
		}
	}()
	for _, spec := range s.inputs {
		p.size += inputs[spec.Name].Size()
	}
	shrink := s.running.Add(p.size) >= crowded || p.size >= largeRun
	if err := p.prepare(ctx, inputs, outputs, shrink); err != nil {
		return nil, false, err
	}
	if s.stays(ctx) {
		err = p.run(ctx)
	} else {
		abandoned, err = s.runs.Do(ctx, func() error { return p.run(ctx) }, p.free)
	}
	if err != nil {
		return nil, abandoned, err
	}
	runtime.KeepAlive(inputs)
	result, err := p.answer()
	return result, false, err
}

func (p *placed) run(ctx context.Context) error {
	return p.s.ort.Run(ctx, p.stop, p.in, p.wanted, p.out)
}

func (p *placed) prepare(ctx context.Context, inputs predict.Tensors, outputs []string, shrink bool) error {
	s := p.s
	for _, spec := range s.inputs {
		v, err := p.give(inputs[spec.Name])
		if err != nil {
			return fmt.Errorf("input %q: %w", spec.Name, err)
		}
		p.in = append(p.in, v)
	}
	p.memory = make([][]byte, len(s.outputs))
	for i, spec := range s.outputs {
		if !slices.Contains(outputs, spec.Name) {
			continue
		}
		var v ort.Value
		if p.shapes != nil && p.shapes[i] != nil {
			n, err := tensor.Count(p.shapes[i])
			if err != nil {
				return err
			}
			p.memory[i] = make([]byte, n*int64(spec.DType.ElementSize()))
			if v, err = p.view(spec.DType, p.shapes[i], p.memory[i]); err != nil {
				return fmt.Errorf("output %q: %w", spec.Name, err)
			}
		}
		p.wanted, p.out = append(p.wanted, i), append(p.out, v)
	}
	if !shrink && ctx.Done() == nil {
		return nil
	}
	var err error
	if p.stop, err = s.lib.NewStop(); err != nil || !shrink {
		return err
	}
	return p.stop.Shrink()
}

// free releases what prepare took.
func (p *placed) free() {
	p.stop.Close()
	for _, v := range slices.Concat(p.in, p.out) {
		p.s.lib.Free(v)
	}
	p.pinned.Unpin()
	p.s.running.Add(-p.size)
}

func (p *placed) answer() (predict.Tensors, error) {
	result := make(predict.Tensors, len(p.wanted))
	for i, at := range p.wanted {
		spec := p.s.outputs[at]
		var t tensor.Tensor
		var err error
		if p.memory[at] != nil {
			t, err = tensor.FromBytes(spec.DType, p.memory[at], p.shapes[at]...)
		} else {
			t, err = p.s.lib.Read(p.out[i])
		}
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", spec.Name, err)
		}
		result[spec.Name] = t
	}
	return result, nil
}

// give makes a value of an input. It shares the input's memory if it can.
func (p *placed) give(t tensor.Tensor) (ort.Value, error) {
	if values, ok := t.Data.([]string); ok {
		return p.s.lib.Strings(t.Shape, values)
	}
	raw, err := t.Bytes()
	if err != nil {
		return 0, err
	}
	return p.view(t.DType(), t.Shape, raw)
}

func (p *placed) view(dtype tensor.DType, shape []int64, raw []byte) (ort.Value, error) {
	if len(raw) > 0 {
		p.pinned.Pin(unsafe.SliceData(raw))
	}
	return p.s.lib.View(dtype, shape, raw)
}
