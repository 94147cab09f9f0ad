package onnx

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/onnx/internal/ort"
	"github.com/forgo-ml/forgo/predict/tensor"
)

type session struct {
	inputs, outputs []tensor.Spec
	dims            map[string][]string // what free dimensions are called, by input or output

	// closing waits for runs. Each run holds the lock for reading.
	closing sync.RWMutex
	lib     *ort.Library
	ort     *ort.Session // nil once closed
	idle    bindings

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
	return &session{inputs: info.Inputs, outputs: info.Outputs, dims: info.dims, lib: lib, ort: opened}, nil
}

func (s *session) Inputs() []tensor.Spec  { return slices.Clone(s.inputs) }
func (s *session) Outputs() []tensor.Spec { return slices.Clone(s.outputs) }

// OutputShape takes sizes from inputs whose dimensions have the same names.
func (s *session) OutputShape(name string, inputs predict.Tensors) []int64 {
	return onnxformat.OutputShape(name, s.inputs, s.outputs, s.dims, inputs)
}

func (s *session) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.ort == nil {
		return nil
	}
	s.idle.close()
	s.ort.Close()
	s.ort = nil
	return nil
}

func (s *session) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	if err := engines.CheckSpecs(s.inputs, s.outputs, inputs, outputs); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.ort == nil {
		return nil, errors.New("run ONNX graph: the session is closed")
	}
	result, err := s.run(ctx, inputs, outputs)
	if err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	return result, nil
}

// run allocates outputs itself if the graph declares their shapes, which costs least.
func (s *session) run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	if s.ownShapes.Load() {
		return s.place(ctx, inputs, outputs, nil)
	}
	result, err, bound := s.runBound(ctx, inputs, outputs)
	if !bound {
		result, err = s.place(ctx, inputs, outputs, s.shapes(inputs))
	}
	if err == nil || ctx.Err() != nil {
		return result, err
	}
	// The shapes may have been the cause. If so, they are not used again.
	result, again := s.place(ctx, inputs, outputs, nil)
	if again != nil {
		return nil, err
	}
	s.ownShapes.Store(true)
	return result, nil
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

// place runs the graph on the callers' memory, and into new memory for outputs with known shapes.
func (s *session) place(ctx context.Context, inputs predict.Tensors, outputs []string, shapes [][]int64) (_ predict.Tensors, err error) {
	var pinned runtime.Pinner
	defer pinned.Unpin()
	in, out := make([]ort.Value, len(s.inputs)), make([]ort.Value, 0, len(outputs))
	defer func() {
		for _, v := range slices.Concat(in, out) {
			s.lib.Free(v)
		}
	}()
	for i, spec := range s.inputs {
		if in[i], err = s.give(&pinned, inputs[spec.Name]); err != nil {
			return nil, fmt.Errorf("input %q: %w", spec.Name, err)
		}
	}
	var wanted []int
	placed := make([][]byte, len(s.outputs))
	for i, spec := range s.outputs {
		if !slices.Contains(outputs, spec.Name) {
			continue
		}
		var v ort.Value
		if shapes != nil && shapes[i] != nil {
			n, err := tensor.Count(shapes[i])
			if err != nil {
				return nil, err
			}
			placed[i] = make([]byte, n*int64(spec.DType.ElementSize()))
			if v, err = s.view(&pinned, spec.DType, shapes[i], placed[i]); err != nil {
				return nil, fmt.Errorf("output %q: %w", spec.Name, err)
			}
		}
		wanted, out = append(wanted, i), append(out, v)
	}
	var size int64
	for _, spec := range s.inputs {
		size += inputs[spec.Name].Size()
	}
	shrink := s.running.Add(size) >= crowded || size >= largeRun
	defer s.running.Add(-size)
	var stop *ort.Stop
	if ctx.Done() != nil || shrink {
		if stop, err = s.lib.NewStop(); err != nil {
			return nil, err
		}
		defer stop.Close()
	}
	if shrink {
		if err := stop.Shrink(); err != nil {
			return nil, err
		}
	}
	if err := s.ort.Run(ctx, stop, in, wanted, out); err != nil {
		return nil, err
	}
	result := make(predict.Tensors, len(outputs))
	for i, at := range wanted {
		spec := s.outputs[at]
		var t tensor.Tensor
		if placed[at] != nil {
			t, err = tensor.FromBytes(spec.DType, placed[at], shapes[at]...)
		} else {
			t, err = s.lib.Read(out[i])
		}
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", spec.Name, err)
		}
		result[spec.Name] = t
	}
	runtime.KeepAlive(inputs)
	return result, nil
}

// give makes a value of an input. It shares the input's memory if it can.
func (s *session) give(pinned *runtime.Pinner, t tensor.Tensor) (ort.Value, error) {
	if texts, ok := t.Data.([]string); ok {
		return s.lib.Strings(t.Shape, texts)
	}
	raw, err := t.Bytes()
	if err != nil {
		return 0, err
	}
	return s.view(pinned, t.DType(), t.Shape, raw)
}

func (s *session) view(pinned *runtime.Pinner, dtype tensor.DType, shape []int64, raw []byte) (ort.Value, error) {
	if len(raw) > 0 {
		pinned.Pin(unsafe.SliceData(raw))
	}
	return s.lib.View(dtype, shape, raw)
}
