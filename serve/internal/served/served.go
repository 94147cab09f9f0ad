// Package served defines a model as a server offers it: with its name, its version, the counts of its
// calls, and the path through which every protocol answers.
package served

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/serve/internal/observe"
)

// ErrNotFound is wrapped by errors about an unknown model, version or label.
var ErrNotFound = errors.New("not found")

type notFound struct{ error }

func (notFound) Is(target error) bool { return target == ErrNotFound }

// NotFound returns an error that wraps [ErrNotFound].
func NotFound(format string, args ...any) error { return notFound{fmt.Errorf(format, args...)} }

// ErrNotReady is wrapped by errors about a known model or version that does not answer.
var ErrNotReady = errors.New("not ready")

type notReady struct{ error }

func (notReady) Is(target error) bool { return target == ErrNotReady }

// NotReady returns an error that wraps [ErrNotReady].
func NotReady(format string, args ...any) error { return notReady{fmt.Errorf(format, args...)} }

type badInput struct{ error }

func (badInput) Is(target error) bool { return target == predict.ErrInput }
func (b badInput) Unwrap() error      { return b.error }

// BadInput returns an error that is the caller's fault: it wraps [predict.ErrInput].
func BadInput(format string, args ...any) error { return badInput{fmt.Errorf(format, args...)} }

// Model is one version of a model in a server. It is safe for concurrent use.
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
	words  []string // that its requests hold
}

// Observed returns the model with its counts.
func (m *Model) Observed() observe.Model {
	return observe.Model{Model: m.Model, Access: m.Access, Calls: m.calls}
}

// Limits bound one request, beyond the length of its body.
type Limits struct {
	// MaxPictures bounds the number of pictures, each of which may become a far larger tensor. Optional:
	// 256.
	MaxPictures int
	// MaxElements bounds the elements of all tensors together. Optional: 33,554,432.
	MaxElements int
	// MaxJSONDepth bounds the nesting of lists and objects. Optional: 64.
	MaxJSONDepth int
	// Timeout bounds a request's time. A caller may ask for less. Optional: no bound.
	Timeout time.Duration
}

// DefaultLimits holds the values of limits that are 0.
var DefaultLimits = Limits{MaxPictures: 256, MaxElements: 32 << 20, MaxJSONDepth: 64}

// Defaults returns the limits with defaults filled in.
func (l Limits) Defaults() Limits {
	return Limits{
		MaxPictures:  cmp.Or(l.MaxPictures, DefaultLimits.MaxPictures),
		MaxElements:  cmp.Or(l.MaxElements, DefaultLimits.MaxElements),
		MaxJSONDepth: cmp.Or(l.MaxJSONDepth, DefaultLimits.MaxJSONDepth),
		Timeout:      l.Timeout,
	}
}

// Fit returns an error if the tensors have too many elements.
func (l Limits) Fit(inputs predict.Tensors) error {
	n := 0
	for name, t := range inputs {
		if n += t.Len(); n > l.MaxElements {
			return BadInput("input %q: the request has more than the limit of %d elements", name, l.MaxElements)
		}
	}
	return nil
}

// New returns a model. It calls close, which may be nil, once it is retired and no request uses it.
func New(m *predict.Model, name, version string, l Limits, close func()) *Model {
	s := &Model{
		Model: m, Access: serving.Of(m), Name: name, Version: version, Limits: l.Defaults(),
		calls: observe.NewCalls(name, version), stats: &stats{}, close: close, closed: make(chan struct{}),
	}
	s.users.Store(1)
	if m == nil {
		return s // a missing model, whose requests fail one by one
	}
	s.words = words(m)
	for _, other := range m.Signatures() {
		signed, _ := m.Signature(other)
		if signed == m {
			continue
		}
		s.signed = append(s.signed, &Model{Model: signed, Access: serving.Of(signed), Name: name, Version: version, Limits: s.Limits, calls: s.calls, stats: s.stats, words: words(signed)})
	}
	return s
}

// words returns the names in a model's usual requests, in JSON of any protocol.
func words(m *predict.Model) []string {
	list := []string{"inputs", "name", "shape", "datatype", "data", "outputs", "parameters", "instances", "FP32", "id"}
	manifest := m.Manifest()
	for _, info := range slices.Concat(manifest.Inputs, manifest.Outputs) {
		list = append(list, info.Name)
	}
	return list[:min(len(list), mostWords)] // which are compared one by one
}

const mostWords = 32

// Signed returns the model's other signatures. Each is a model under the same name, counted with it, and
// usable while the model is acquired. Only the model itself is acquired, released and retired.
func (m *Model) Signed() []*Model { return m.signed }

// Acquire keeps the model open until Release. It returns false if the model is retired.
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

// Retire closes the model once the requests under way have ended. It must be called once, when no new
// request can find the model.
func (m *Model) Retire() { m.Release() }

// Wait returns once a retired model is closed.
func (m *Model) Wait() { <-m.closed }

// sideBySide calls one for 0 to n-1, on as many goroutines as there are usable processors.
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
