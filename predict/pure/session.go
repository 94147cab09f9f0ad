package pure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/tensor"
)

type session struct {
	inputs, outputs []tensor.Spec
	dims            map[string][]string
	plan            *plan
	idle            sync.Pool // of *run
	closed          atomic.Bool
}

// run is the memory of one run, which later runs reuse.
type run struct {
	memory *memory
	values []value
	in     [][]*value // by step
	out    [][]*value
}

// maxKept bounds the memory that a run leaves for later ones, in bytes.
const maxKept = 16 << 20

func newRun(p *plan, m *memory) *run {
	r := &run{memory: m, values: make([]value, p.values)}
	for i := range r.values {
		r.values[i].memory = m
	}
	for _, s := range p.steps {
		r.in = append(r.in, r.refer(p, s.in))
		r.out = append(r.out, r.refer(p, s.out))
	}
	return r
}

func (r *run) refer(p *plan, refs []ref) []*value {
	values := make([]*value, len(refs))
	for i, at := range refs {
		values[i] = r.at(p, at)
	}
	return values
}

func (r *run) at(p *plan, at ref) *value {
	switch {
	case at == none:
		return nil
	case at < 0:
		return p.constants[^at]
	}
	return &r.values[at]
}

func (s *session) Inputs() []tensor.Spec  { return s.inputs }
func (s *session) Outputs() []tensor.Spec { return s.outputs }

// Threads returns the number of threads that a run uses.
func (s *session) Threads() int { return 1 }

// OutputShape takes sizes from inputs whose dimensions have the same names.
func (s *session) OutputShape(name string, inputs predict.Tensors) []int64 {
	return onnxformat.OutputShape(name, s.inputs, s.outputs, s.dims, inputs)
}

// Close releases the graph.
func (s *session) Close() error {
	s.closed.Store(true)
	return nil
}

func (s *session) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	result, err := s.answer(ctx, inputs, outputs)
	if err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	return result, nil
}

func (s *session) answer(ctx context.Context, inputs predict.Tensors, outputs []string) (answer predict.Tensors, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.closed.Load() {
		return nil, errors.New("the session is closed")
	}
	if err := engines.Check(s, inputs, outputs); err != nil {
		return nil, err
	}
	r, ok := s.idle.Get().(*run)
	if !ok {
		r = newRun(s.plan, &memory{left: maxMemory})
	}
	defer func() {
		if p := recover(); p != nil { // r is not used again
			answer, err = nil, errPanic{p}
			return
		}
		s.giveBack(r)
	}()
	for i, spec := range s.inputs {
		if err := r.values[s.plan.inputs[i]].set(inputs[spec.Name]); err != nil {
			return nil, err
		}
	}
	r.memory.ctx, r.memory.asked = ctx, 0
	if err := s.plan.execute(r); err != nil {
		return nil, err
	}
	return s.take(r, outputs)
}

// execute runs every step.
func (p *plan) execute(r *run) error {
	for i := range p.steps {
		if err := r.memory.ended(); err != nil {
			return err
		}
		step := &p.steps[i]
		if err := step.run(r.in[i], r.out[i]); err != nil {
			return fmt.Errorf("node %s: %w", step.what, err)
		}
	}
	return nil
}

// take hands the outputs to the caller.
func (s *session) take(r *run, outputs []string) (predict.Tensors, error) {
	result := tensor.NewMap()
	for i, spec := range s.outputs {
		if !slices.Contains(outputs, spec.Name) {
			continue
		}
		v := r.at(s.plan, s.plan.outputs[i])
		if v.dtype() != spec.DType || spec.Shape != nil && len(spec.Shape) != len(v.shape) {
			return nil, fmt.Errorf("output %s: computed %s%v, the graph says %s%v", tensor.Quote(spec.Name), v.dtype(), v.shape, spec.DType, spec.Shape)
		}
		if !s.owns(i) {
			c := value{memory: r.memory}
			if err := c.copy(v, v.shape); err != nil {
				return nil, err
			}
			v = &c
		}
		result[spec.Name] = v.tensor()
	}
	return result, nil
}

// owns reports whether an output is in memory that a run allocated for it alone.
func (s *session) owns(output int) bool {
	at := s.plan.outputs[output]
	return at >= 0 && !slices.Contains(s.plan.inputs, at) && slices.Index(s.plan.outputs, at) == output
}

// giveBack keeps a run's memory for later runs, without what belongs to callers.
func (s *session) giveBack(r *run) {
	r.memory.ctx = nil
	for _, at := range s.plan.inputs {
		r.values[at].forget()
	}
	for _, at := range s.plan.outputs {
		if at >= 0 {
			r.values[at].forget()
		}
	}
	if maxMemory-r.memory.left > maxKept {
		return
	}
	s.idle.Put(r)
}
