package served

// A request on its way through a model.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/shed"
)

// Request is a call on its way through a model, with its place in the queue and its time. It is for one
// goroutine at a time.
type Request struct {
	*Model
	// Types returns the protocol's name for an element type, for errors. Optional: the library's names.
	Types func(tensor.DType) string

	seen   *observe.Request
	place  serving.Place
	start  time.Time
	ctx    context.Context
	cancel context.CancelFunc  // nil where the request has no time of its own
	writer http.ResponseWriter // for giving up a request over HTTP; nil for others
	client *shed.Client        // while its body is read or its answer written; nil for small ones
	came   atomic.Int64        // bytes of the body

	inputs, outputs predict.Tensors // of a run that succeeded

	noted observation
	ran   time.Time // when the run ended
	ended time.Time // when the answer was written; zero for a request that failed
}

// Context returns a context that ends when the caller leaves or the request's time is over.
func (r *Request) Context() context.Context { return r.ctx }

// Within limits the request to d from its start. The shortest limit counts.
func (r *Request) Within(d time.Duration) {
	outer := r.cancel
	ctx, cancel := context.WithDeadline(r.ctx, r.start.Add(d))
	r.ctx, r.cancel = ctx, func() {
		cancel()
		if outer != nil {
			outer()
		}
	}
}

// Use makes another signature of the model answer the request.
func (r *Request) Use(signed *Model) {
	if !r.place.Use(signed.Manifest().Graph.Signature) {
		panic("served: a signature of another model") // a caller finds it among the request's own
	}
	r.Model = signed
}

// Grow reserves bytes before they are used. A negative number returns them.
func (r *Request) Grow(bytes int64) error {
	if bytes <= 0 {
		return r.place.Grow(bytes)
	}
	return r.within(func() error { return r.place.Grow(bytes) })
}

// Overhead is what every request reserves before it is read. It covers small requests.
const Overhead = 16 << 10

// Payload returns the limits for reading the request, which take memory from its place.
func (r *Request) Payload() payload.Limits {
	return payload.Limits{Depth: r.MaxJSONDepth, Elements: r.MaxElements, Memory: r, Words: r.words}
}

// Concat joins tensors along their first dimension, in memory that it reserves first.
func (r *Request) Concat(parts []tensor.Tensor) (tensor.Tensor, error) {
	if len(parts) == 1 {
		return parts[0], nil
	}
	bytes := int64(0)
	for _, p := range parts {
		bytes += p.Size()
	}
	if err := r.Grow(bytes); err != nil {
		return tensor.Tensor{}, err
	}
	return tensor.Concat(parts...)
}

// Do answers one request. It admits the request, or refuses it before anything is read. answer then reads
// it, calls [Request.Run] once, and writes the outputs. It keeps neither inputs nor outputs, whose maps are
// used again. Do measures the three stages separately. The first
// error ends the request. answer reserves memory with Grow, and Do returns it.
func (m *Model) Do(ctx context.Context, seen *observe.Request, answer func(*Request) error) (err error) {
	calls := m.Observed().Calls
	r := &Request{Model: m, seen: seen, start: seen.Enter(calls), ctx: ctx, noted: observation{failed: true}}
	defer calls.Leave()
	defer func() { err = r.end(err) }()
	if m.Timeout > 0 {
		r.Within(m.Timeout)
	}
	if err := r.enter(); err != nil {
		return err
	}
	if err := answer(r); err != nil {
		return err
	}
	r.ended = time.Now()
	r.inputs.Recycle() // which a run that failed may still use
	r.outputs.Recycle()
	r.noted.output, r.noted.failed = r.ended.Sub(r.ran), false
	seen.Answered(r.ctx, r.ran, r.noted.output, r.noted.rows)
	return nil
}

// enter takes a place in the queue.
func (r *Request) enter() (err error) {
	if r.place, err = serving.Enter(r.Access, Overhead); errors.Is(err, predict.ErrBusy) {
		err = r.within(func() (err error) {
			r.place, err = serving.Enter(r.Access, Overhead)
			return err
		})
	}
	if err == nil {
		r.place.Keep()
	}
	return err
}

// Run runs the model on the inputs. The rest of answer counts as writing the outputs.
func (r *Request) Run(inputs predict.Tensors) (predict.Tensors, error) {
	r.noted.rows = rows(inputs)
	outputs, took, err := r.place.Run(r.ctx, inputs)
	prepared := took.Began
	if r.ran = took.Ended; prepared.IsZero() || r.ran.IsZero() { // it did not run
		r.ran = time.Now()
		prepared = r.ran.Add(-took.Queue - took.Infer)
	}
	r.noted.input = r.seen.Prepared(r.ctx, r.start, prepared.Sub(r.start))
	r.noted.queue, r.noted.infer = took.Queue, took.Infer
	if err != nil {
		return nil, err
	}
	r.inputs, r.outputs = inputs, outputs
	r.seen.Ran(r.ctx, prepared, took)
	r.writing()
	return outputs, nil
}

// end returns what the request took, even after a panic, and phrases its error.
func (r *Request) end(err error) error {
	r.Read()
	if r.ended.IsZero() {
		r.ended = time.Now()
	}
	r.noted.total = r.ended.Sub(r.start)
	r.stats.add(r.noted, r.ended)
	r.place.Release()
	if r.cancel != nil {
		r.cancel()
	}
	if r.Types != nil {
		err = tensor.Reword(err, r.Types)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the request's deadline passed after %s: %w", r.noted.total.Round(time.Millisecond), err)
	}
	return err
}

func rows(inputs predict.Tensors) int {
	for _, t := range inputs {
		return t.Rows()
	}
	return 0
}

// Picture prepares one encoded picture. The model must take nothing else.
func (r *Request) Picture(encoded []byte) (predict.Tensors, error) {
	if err := r.place.Begin(1); err != nil {
		return nil, err
	}
	start := time.Now()
	defer func() { r.seen.Pictures(time.Since(start)) }()
	return r.picture(encoded)
}

// picture is safe for concurrent use.
func (r *Request) picture(encoded []byte) (predict.Tensors, error) {
	start := time.Now()
	in, took, err := r.PreparePicture(r.ctx, encoded)
	r.seen.Picture(r.ctx, start, took)
	return in, err
}

// Pictures prepares encoded pictures concurrently and joins them into one batch. The error names, by of,
// the first picture that failed.
func (r *Request) Pictures(encoded [][]byte, of func(i int) string) (predict.Tensors, error) {
	input := r.Manifest().Picture.Input
	if len(encoded) == 0 {
		return r.noPictures()
	}
	if len(encoded) > r.MaxPictures {
		return nil, BadInput("%d pictures in one request; send at most %d", len(encoded), r.MaxPictures)
	}
	if err := r.place.Begin(len(encoded)); err != nil {
		return nil, err
	}
	start := time.Now()
	parts := make([]tensor.Tensor, len(encoded))
	errs := make([]error, len(encoded))
	var failed atomic.Bool
	one := func(i int) {
		if failed.Load() {
			return
		}
		in, err := r.picture(encoded[i])
		if err != nil {
			errs[i] = fmt.Errorf("%s: %w", of(i), err)
			failed.Store(true)
			return
		}
		parts[i] = in[input]
	}
	sideBySide(len(encoded), one)
	r.seen.Pictures(time.Since(start))
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	t, err := r.Concat(parts)
	if err != nil {
		return nil, BadInput("the pictures do not make one batch: %w", err)
	}
	return predict.Tensors{input: t}, nil
}

// noPictures returns the empty batch, if its shape is known.
func (m *Model) noPictures() (predict.Tensors, error) {
	spec := m.Manifest().PictureInput()
	shape := append([]int64{0}, spec.Shape[1:]...)
	t, err := tensor.FromBytes(spec.DType, nil, shape...)
	if err != nil {
		return nil, BadInput("send at least one picture")
	}
	return predict.Tensors{spec.Name: t}, nil
}
