package ort

import (
	"context"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/internal/clib"
)

// Session is a loaded graph. Run is safe for concurrent use. Close must not be called during a run.
type Session struct {
	*Library
	at              uintptr
	inputs, outputs []uintptr // names, in C's memory
}

// NewSession loads a graph from its bytes, which the caller may discard afterwards. Runs give inputs and
// take outputs in the order of the names here.
func (l *Library) NewSession(model []byte, threads int, inputs, outputs []string) (s *Session, err error) {
	made := new(struct{ options, session uintptr })
	if err := l.call(createSessionOptions, uintptr(unsafe.Pointer(&made.options))); err != nil {
		return nil, err
	}
	defer l.release(releaseSessionOptions, made.options)
	if err := l.call(setIntraOpNumThreads, made.options, uintptr(threads)); err != nil {
		return nil, err
	}
	if err := l.call(setInterOpNumThreads, made.options, 1); err != nil {
		return nil, err
	}
	for key, value := range map[string]string{
		// The bytes were checked as ONNX, but could also be a file in ONNX Runtime's own format.
		"session.load_model_format": "ONNX",
		// Waiting threads sleep: a server's cores belong to its other requests.
		"session.intra_op.allow_spinning": "0",
	} {
		k, v := clib.String(key), clib.String(value)
		if err := l.call(addSessionConfigEntry, made.options, uintptr(unsafe.Pointer(&k[0])), uintptr(unsafe.Pointer(&v[0]))); err != nil {
			return nil, err
		}
	}
	s = &Session{Library: l}
	if s.inputs, err = l.names(inputs); err != nil {
		return nil, err
	}
	if s.outputs, err = l.names(outputs); err != nil {
		s.Close()
		return nil, err
	}
	err = l.call(createSessionFromArray, l.env, uintptr(unsafe.Pointer(unsafe.SliceData(model))), uintptr(len(model)),
		made.options, uintptr(unsafe.Pointer(&made.session)))
	if err != nil {
		s.Close()
		return nil, err
	}
	s.at = made.session
	return s, nil
}

// Close frees the graph.
func (s *Session) Close() {
	s.release(releaseSession, s.at)
	s.freeNames(s.inputs)
	s.freeNames(s.outputs)
	s.at, s.inputs, s.outputs = 0, nil, nil
}

// Run computes the outputs at the indexes in wanted. ONNX Runtime allocates a result that is 0, and the
// caller closes it. It writes to the other results. stop may be nil.
func (s *Session) Run(ctx context.Context, stop *Stop, inputs []Value, wanted []int, results []Value) error {
	names := make([]uintptr, len(wanted))
	for i, at := range wanted {
		names[i] = s.outputs[at]
	}
	return stop.around(ctx, func(options uintptr) error {
		return s.call(run, s.at, options,
			uintptr(unsafe.Pointer(unsafe.SliceData(s.inputs))), uintptr(unsafe.Pointer(unsafe.SliceData(inputs))), uintptr(len(inputs)),
			uintptr(unsafe.Pointer(unsafe.SliceData(names))), uintptr(len(names)), uintptr(unsafe.Pointer(unsafe.SliceData(results))))
	})
}

// Stop holds the options of one run at a time, so that the end of a context can end the run between two
// operations. A Stop that has ended a run must not be used again.
type Stop struct {
	lib     *Library
	options uintptr
	stopped chan struct{} // holds one once the run was terminated
	Spent   bool
}

// NewStop returns a Stop, which the caller must close.
func (l *Library) NewStop() (*Stop, error) {
	made := new(uintptr)
	if err := l.call(createRunOptions, uintptr(unsafe.Pointer(made))); err != nil {
		return nil, err
	}
	return &Stop{lib: l, options: *made, stopped: make(chan struct{}, 1)}, nil
}

// Shrink makes runs return the arena's unused memory to the system when they end.
func (s *Stop) Shrink() error {
	key, devices := clib.String("memory.enable_memory_arena_shrinkage"), clib.String("cpu:0")
	return s.lib.call(addRunConfigEntry, s.options, uintptr(unsafe.Pointer(&key[0])), uintptr(unsafe.Pointer(&devices[0])))
}

// Close frees s.
func (s *Stop) Close() {
	if s != nil {
		s.lib.release(releaseRunOptions, s.options)
		s.options = 0
	}
}

func (s *Stop) around(ctx context.Context, run func(options uintptr) error) error {
	if s == nil {
		return run(0)
	}
	unneeded := context.AfterFunc(ctx, func() {
		_ = s.lib.call(runOptionsSetTerminate, s.options)
		s.stopped <- struct{}{}
	})
	err := run(s.options)
	if unneeded() {
		return err
	}
	// The run may be freed only after that.
	<-s.stopped
	s.Spent = true
	if err != nil {
		return ctx.Err()
	}
	return nil
}
