// Package served is a model as a server offers it: with its name, its version, the counts of
// its calls and the one path that every protocol answers through.
package served

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/serve/internal/observe"
)

// ErrNotFound is wrapped where there is no such model, version or label.
var ErrNotFound = errors.New("not found")

type notFound struct{ error }

func (notFound) Is(target error) bool { return target == ErrNotFound }

// NotFound returns an error that wraps [ErrNotFound].
func NotFound(format string, args ...any) error { return notFound{fmt.Errorf(format, args...)} }

// ErrNotReady is wrapped where a model or version exists and does not answer.
var ErrNotReady = errors.New("not ready")

type notReady struct{ error }

func (notReady) Is(target error) bool { return target == ErrNotReady }

// NotReady returns an error that wraps [ErrNotReady].
func NotReady(format string, args ...any) error { return notReady{fmt.Errorf(format, args...)} }

type badInput struct{ error }

func (badInput) Is(target error) bool { return target == predict.ErrInput }
func (b badInput) Unwrap() error      { return b.error }

// BadInput marks an error as the caller's: it wraps [predict.ErrInput].
func BadInput(format string, args ...any) error { return badInput{fmt.Errorf(format, args...)} }

// Model is one version of a model that a server offers. It is safe for concurrent use.
type Model struct {
	*predict.Model
	serving.Access // of the same model
	Name           string
	Version        string
	Limits

	stats  *stats
	calls  *observe.Calls
	users  atomic.Int64 // requests under way, and one until it is retired
	close  func()
	closed chan struct{}
	signed []*Model // its other signatures
}

// Observed returns the model with what is counted of it.
func (m *Model) Observed() observe.Model {
	return observe.Model{Model: m.Model, Access: m.Access, Calls: m.calls}
}

// Limits bound one request, beyond its length.
type Limits struct {
	// MaxPictures bounds the pictures, each of which becomes a tensor that may be far larger
	// than what was sent. Optional: 256.
	MaxPictures int
	// MaxElements bounds the elements of all tensors together. Optional: 33,554,432.
	MaxElements int
	// MaxJSONDepth bounds lists and objects in each other. Optional: 64.
	MaxJSONDepth int
	// Timeout is how long a request may take, where its caller gives it no less. Optional: as
	// long as it takes.
	Timeout time.Duration
}

// DefaultLimits are those that are 0.
var DefaultLimits = Limits{MaxPictures: 256, MaxElements: 32 << 20, MaxJSONDepth: 64}

// Defaults fills in what is 0.
func (l Limits) Defaults() Limits {
	return Limits{
		MaxPictures:  cmp.Or(l.MaxPictures, DefaultLimits.MaxPictures),
		MaxElements:  cmp.Or(l.MaxElements, DefaultLimits.MaxElements),
		MaxJSONDepth: cmp.Or(l.MaxJSONDepth, DefaultLimits.MaxJSONDepth),
		Timeout:      l.Timeout,
	}
}

// Fit fails where tensors that were sent have too many elements.
func (l Limits) Fit(inputs predict.Tensors) error {
	n := 0
	for name, t := range inputs {
		if n += t.Len(); n > l.MaxElements {
			return BadInput("input %q: the request has more than the limit of %d elements", name, l.MaxElements)
		}
	}
	return nil
}

// New returns a model that calls close, which may be nil, when it is retired and no request
// needs it any more.
func New(m *predict.Model, name, version string, l Limits, close func()) *Model {
	s := &Model{
		Model: m, Access: serving.Of(m), Name: name, Version: version, Limits: l.Defaults(),
		calls: observe.NewCalls(name, version), stats: &stats{}, close: close, closed: make(chan struct{}),
	}
	s.users.Store(1)
	if m == nil {
		return s // of a server's model that is missing, whose requests fail, one by one
	}
	for _, other := range m.Signatures() {
		signed, _ := m.Signature(other)
		if signed == m {
			continue
		}
		s.signed = append(s.signed, &Model{Model: signed, Access: serving.Of(signed), Name: name, Version: version, Limits: s.Limits, calls: s.calls, stats: s.stats})
	}
	return s
}

// Signed returns the model's other signatures: each a model under the same name, counted with it, and
// usable for as long as the model is acquired. Only the model itself is acquired, released and retired.
func (m *Model) Signed() []*Model { return m.signed }

// Acquire keeps the model open until Release; false means that it is retired already.
func (m *Model) Acquire() bool {
	for {
		n := m.users.Load()
		if n == 0 {
			return false
		}
		if m.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release ends what Acquire began.
func (m *Model) Release() {
	if m.users.Add(-1) > 0 {
		return
	}
	go func() { // the caller's answer need not wait for it
		defer close(m.closed)
		if m.close != nil {
			m.close()
		}
	}()
}

// Retire closes the model once the requests that it is answering have ended. It is called
// once, when no new request can find it.
func (m *Model) Retire() { m.Release() }

// Wait returns when a retired model is closed.
func (m *Model) Wait() { <-m.closed }

// sideBySide calls one for 0 to n-1, on as many goroutines as there are processors to use.
func sideBySide(n int, one func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers == 1 {
		for i := range n {
			one(i)
		}
		return
	}
	var next atomic.Int64
	var group sync.WaitGroup
	var panicked atomic.Pointer[any]
	for range workers {
		group.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panicked.Store(&p)
				}
			}()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				one(int(i))
			}
		})
	}
	group.Wait()
	if p := panicked.Load(); p != nil {
		panic(*p) // on the request's goroutine, where it fails that request alone
	}
}

// Classifier reports whether the model's first output is the probabilities of its labels.
func (m *Model) Classifier() bool { return m.Manifest().Task == bundle.Classification }
