package onnx

// Small runs, whose inputs and outputs are copied to and from memory that is bound to the session.

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx/internal/ort"
	"github.com/forgo-ml/forgo/predict/tensor"
)

const (
	maxBound = 64 << 10 // bytes of inputs and outputs of a small run
	maxIdle  = 16       // bindings that a session keeps for later runs
)

// binding is memory for inputs of certain shapes.
type binding struct {
	*ort.Binding
	inputs, outputs [][]int64
}

// bindings holds the bindings that no run uses, the most recent last.
type bindings struct {
	mu   sync.Mutex
	list []*binding
}

// take returns a binding for these inputs, or nil if there is none.
func (b *bindings) take(specs []tensor.Spec, inputs predict.Tensors) *binding {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for i := len(b.list) - 1; i >= 0; i-- {
		found := b.list[i]
		for j, spec := range specs {
			if !slices.Equal(found.inputs[j], inputs[spec.Name].Shape) {
				continue next
			}
		}
		b.list = slices.Delete(b.list, i, i+1)
		return found
	}
	return nil
}

// put keeps a binding for later. If there are many, it replaces the one that has been unused longest.
func (b *bindings) put(used *binding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == maxIdle {
		b.list[0].Close()
		b.list = slices.Delete(b.list, 0, 1)
	}
	b.list = append(b.list, used)
}

func (b *bindings) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, idle := range b.list {
		idle.Close()
	}
	b.list = nil
}

// binding returns an unused binding for these inputs, or nil if a run on them is not small.
func (s *session) binding(inputs predict.Tensors) (*binding, error) {
	if b := s.idle.take(s.inputs, inputs); b != nil {
		return b, nil
	}
	return s.bind(inputs)
}

// runBound runs the graph with a binding, which it keeps or closes.
func (s *session) runBound(ctx context.Context, b *binding, inputs predict.Tensors, outputs []string) (_ predict.Tensors, abandoned bool, err error) {
	for i, spec := range s.inputs {
		raw, err := inputs[spec.Name].Bytes()
		if err != nil {
			s.idle.put(b)
			return nil, false, fmt.Errorf("input %q: %w", spec.Name, err)
		}
		copy(b.Inputs[i], raw)
	}
	for _, memory := range b.Outputs {
		clear(memory) // nothing of another caller's answer is there, whatever the graph writes
	}
	var alive bool
	if s.stays(ctx) {
		alive, err = b.Run(ctx)
	} else if alive, abandoned, err = s.runAside(ctx, b); abandoned {
		return nil, true, err
	}
	if !alive {
		defer b.Close()
	} else {
		defer s.idle.put(b)
	}
	if err != nil {
		return nil, false, err
	}
	result := make(predict.Tensors, len(outputs))
	for i, spec := range s.outputs {
		if !slices.Contains(outputs, spec.Name) {
			continue
		}
		t, err := tensor.FromBytes(spec.DType, append([]byte(nil), b.Outputs[i]...), slices.Clone(b.outputs[i])...)
		if err != nil {
			return nil, false, fmt.Errorf("output %q: %w", spec.Name, err)
		}
		result[spec.Name] = t
	}
	return result, false, nil
}

// runAside runs a binding in another goroutine. An abandoned binding is closed when its run ends.
func (s *session) runAside(ctx context.Context, b *binding) (alive, abandoned bool, err error) {
	var lives bool // written by the run, and not read while that goes on
	if abandoned, err = s.runs.Do(ctx, func() (err error) {
		lives, err = b.Run(ctx)
		return err
	}, b.Close); abandoned {
		return false, true, err
	}
	return lives, false, err
}

// bind makes a binding for inputs of these shapes, or returns nil if a run on them is not small.
func (s *session) bind(inputs predict.Tensors) (*binding, error) {
	made := &binding{outputs: s.shapes(inputs)}
	most := int64(maxBound)
	whole := func(specs []tensor.Spec, shape func(i int) []int64) []tensor.Spec {
		out := slices.Clone(specs)
		for i := range out {
			out[i].Shape = shape(i)
			n, err := tensor.Count(out[i].Shape)
			size := n * int64(out[i].DType.ElementSize())
			if most -= size; err != nil || size == 0 || out[i].Shape == nil || most < 0 {
				return nil
			}
		}
		return out
	}
	in := whole(s.inputs, func(i int) []int64 {
		shape := append([]int64{}, inputs[s.inputs[i].Name].Shape...)
		made.inputs = append(made.inputs, shape)
		return shape
	})
	if in == nil && len(s.inputs) > 0 {
		return nil, nil
	}
	out := whole(s.outputs, func(i int) []int64 { return made.outputs[i] })
	if out == nil {
		return nil, nil
	}
	var err error
	made.Binding, err = s.ort.Bind(in, out)
	return made, err
}
