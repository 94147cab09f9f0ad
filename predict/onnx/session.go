//go:build cgo

package onnx

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/internal/onnxends"
	"github.com/forgo-ml/forgo/predict/tensor"
)

type session struct {
	inputs, outputs []tensor.Spec
	dims            map[string][]string // what free dimensions are called, by input or output
	fit             fitted

	// closing waits for runs: each holds the lock for reading.
	closing sync.RWMutex
	ort     *ort.DynamicAdvancedSession // nil once closed
	idle    chan stopper                // of runs that have ended

	// ownShapes is set where an output had another shape than the graph's ends let expect.
	ownShapes atomic.Bool
}

// stopper ends a run.
type stopper struct {
	*ort.RunOptions
	stopped chan struct{} // holds one once the run was told to end
}

const (
	maxIdle   = 8        // stoppers that are kept for later runs
	maxPlaced = 64 << 20 // bytes of an output that are set aside on the word of its shape
)

func (s *session) Inputs() []tensor.Spec  { return slices.Clone(s.inputs) }
func (s *session) Outputs() []tensor.Spec { return slices.Clone(s.outputs) }

// OutputShape takes sizes from inputs whose dimensions are called the same.
func (s *session) OutputShape(name string, inputs predict.Tensors) []int64 {
	return onnxends.OutputShape(name, s.inputs, s.outputs, s.dims, inputs)
}

func (s *session) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.ort == nil {
		return nil
	}
	err := s.ort.Destroy()
	s.ort = nil
	close(s.idle)
	for stop := range s.idle {
		err = errors.Join(err, stop.Destroy())
	}
	return err
}

func (s *session) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	if err := onnxends.Check(s.inputs, s.outputs, inputs, outputs); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.ort == nil {
		return nil, errors.New("run ONNX graph: the session is closed")
	}

	in := make([]ort.Value, len(s.fit.in))
	defer destroy(in)
	if len(s.inputs) == 0 {
		var err error
		if in[0], err = toValue(tensor.Tensor{Shape: []int64{1}, Data: []float32{0}}); err != nil {
			return nil, fmt.Errorf("run ONNX graph: %w", err)
		}
	}
	for i, spec := range s.inputs {
		v, err := s.fit.pass(i, inputs[spec.Name])
		if err != nil {
			return nil, fmt.Errorf("run ONNX graph: input %q: %w", spec.Name, err)
		}
		in[i] = v
	}
	places := !s.ownShapes.Load()
	result, err := s.answer(ctx, inputs, in, outputs, places)
	if err != nil && places && ctx.Err() == nil {
		// It may have been the shapes; they matter no more if it was.
		var again error
		if result, again = s.answer(ctx, inputs, in, outputs, false); again == nil {
			s.ownShapes.Store(true)
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	runtime.KeepAlive(inputs) // ONNX Runtime read the callers' memory in place
	return result, nil
}

// answer runs the graph, into memory of our own where places says so and the shapes are known.
func (s *session) answer(ctx context.Context, inputs predict.Tensors, in []ort.Value, outputs []string, places bool) (predict.Tensors, error) {
	placed, err := s.places(inputs, places)
	if err != nil {
		return nil, err
	}
	out := make([]ort.Value, len(s.fit.out))
	defer destroy(out)
	for i, t := range placed {
		if t.Data == nil {
			continue
		}
		if out[s.fit.slot(i)], err = toValue(t); err != nil {
			return nil, fmt.Errorf("output %q: %w", s.outputs[i].Name, err)
		}
	}
	if err := s.run(ctx, in, out); err != nil {
		return nil, err
	}
	result := make(predict.Tensors, len(outputs))
	for i, spec := range s.outputs {
		if !slices.Contains(outputs, spec.Name) {
			continue
		}
		t, at := placed[i], s.fit.slot(i)
		switch {
		case s.fit.outputs[i] == flat:
			t, err = unflat(spec.DType, out[at], out[at+1])
		case t.Data == nil || len(t.Shape) == 0: // a scalar's value is a copy
			t, err = fromValue(out[at])
		}
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", spec.Name, err)
		}
		result[spec.Name] = t
	}
	return result, nil
}

// places are tensors for the outputs whose shapes are known, empty ones for the others, which
// ONNX Runtime allocates. Into an output that is an input as well it writes nothing. The
// binding cannot read scalars back from where ONNX Runtime put them: they always need a place.
func (s *session) places(inputs predict.Tensors, all bool) ([]tensor.Tensor, error) {
	placed := make([]tensor.Tensor, len(s.outputs))
	for i, spec := range s.outputs {
		size := int64(spec.DType.ElementSize())
		if s.fit.outputs[i] == flat || size == 0 || s.isInput(spec.Name) || !all && len(spec.Shape) > 0 {
			continue
		}
		shape := slices.Clone(spec.Shape)
		if len(shape) > 0 && shape[0] < 0 && len(s.inputs) > 0 {
			shape[0] = int64(inputs[s.inputs[0].Name].Rows())
		}
		n, err := tensor.Count(shape)
		if err != nil || n*size > maxPlaced {
			continue
		}
		if placed[i], err = tensor.FromBytes(spec.DType, make([]byte, n*size), shape...); err != nil {
			return nil, fmt.Errorf("output %q: %w", spec.Name, err)
		}
	}
	return placed, nil
}

func (s *session) isInput(name string) bool {
	return slices.ContainsFunc(s.inputs, func(in tensor.Spec) bool { return in.Name == name })
}

// run lets the end of ctx stop ONNX Runtime between two operations.
func (s *session) run(ctx context.Context, in, out []ort.Value) error {
	if ctx.Done() == nil {
		return s.ort.Run(in, out)
	}
	stop, err := s.stopper()
	if err != nil {
		return err
	}
	unneeded := context.AfterFunc(ctx, func() {
		_ = stop.Terminate()
		stop.stopped <- struct{}{}
	})
	err = s.ort.RunWithOptions(in, out, stop.RunOptions)
	if !unneeded() {
		<-stop.stopped // it may be freed only after Terminate has returned
		_ = stop.Destroy()
		if err != nil {
			return ctx.Err()
		}
		return nil
	}
	select {
	case s.idle <- stop:
	default:
		_ = stop.Destroy()
	}
	return err
}

func (s *session) stopper() (stopper, error) {
	select {
	case stop := <-s.idle:
		return stop, nil
	default:
	}
	options, err := ort.NewRunOptions()
	return stopper{options, make(chan struct{}, 1)}, err
}
