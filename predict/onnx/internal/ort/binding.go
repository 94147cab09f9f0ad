package ort

import (
	"context"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/internal/clib"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Binding is memory for the inputs and outputs of a session's runs, with fixed shapes. It serves one run
// at a time. Close it before its session.
type Binding struct {
	s               *Session
	at              uintptr
	values          []Value
	Inputs, Outputs [][]byte // C's memory; gone once the binding is closed
	stop            *Stop
}

// Bind makes a binding. The specs are those of all inputs and outputs, in the session's order, without
// free dimensions or strings.
func (s *Session) Bind(inputs, outputs []tensor.Spec) (b *Binding, err error) {
	b = &Binding{s: s}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	made := new(uintptr)
	if err := s.call(createIoBinding, s.at, uintptr(unsafe.Pointer(made))); err != nil {
		return b, err
	}
	b.at = *made
	if b.Inputs, err = b.bind(bindInput, s.inputs, inputs); err != nil {
		return b, err
	}
	b.Outputs, err = b.bind(bindOutput, s.outputs, outputs)
	return b, err
}

func (b *Binding) bind(f function, names []uintptr, specs []tensor.Spec) ([][]byte, error) {
	memory := make([][]byte, len(specs))
	for i, spec := range specs {
		v, err := b.s.Make(spec.DType, spec.Shape)
		if err != nil {
			return nil, err
		}
		b.values = append(b.values, v)
		at, err := b.s.elements(v)
		if err != nil {
			return nil, err
		}
		n, err := tensor.Count(spec.Shape)
		if err != nil {
			return nil, err
		}
		memory[i] = clib.Bytes(at, int(n)*spec.DType.ElementSize())
		if err := b.s.call(f, b.at, names[i], uintptr(v)); err != nil {
			return nil, err
		}
	}
	return memory, nil
}

// Run runs the graph on the data in Inputs. If ctx ends, the run ends early, and the binding must not be
// used again: alive is false.
func (b *Binding) Run(ctx context.Context) (alive bool, err error) {
	if ctx.Done() == nil {
		return true, b.run(0)
	}
	if b.stop == nil {
		if b.stop, err = b.s.NewStop(); err != nil {
			return true, err
		}
	}
	err = b.stop.around(ctx, b.run)
	return !b.stop.Spent, err
}

func (b *Binding) run(options uintptr) error { return b.s.call(runWithBinding, b.s.at, options, b.at) }

// Close frees the memory.
func (b *Binding) Close() {
	b.stop.Close()
	b.s.release(releaseIoBinding, b.at)
	for _, v := range b.values {
		b.s.Free(v)
	}
	*b = Binding{s: b.s}
}
