package observe

// A request's way through its model, stage by stage: each is added to the model's histograms
// and, where the request is traced, to its trace.

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/forgo-ml/forgo/internal/serving"
)

// Enter notes that the request reached a model. It is under way there until c.Leave.
func (r *Request) Enter(c *Calls) {
	r.calls = c
	c.inFlight.Add(1)
}

// Leave ends what Request.Enter began.
func (c *Calls) Leave() { c.inFlight.Add(-1) }

// Picture notes that a picture was decoded and preprocessed. Unlike the other methods it may
// be called from many goroutines.
func (r *Request) Picture(ctx context.Context, start time.Time, took serving.Timing) {
	r.decode.Add(int64(took.Decode))
	r.preprocess.Add(int64(took.Preprocess))
	if r.traced {
		span(ctx, "decode", start, took.Decode)
		span(ctx, "preprocess", start.Add(took.Decode), took.Preprocess)
	}
}

// Pictures notes how much time passed while pictures were prepared, side by side.
func (r *Request) Pictures(took time.Duration) { r.pictures += took }

// Prepared notes that the inputs are made, and returns how long the server itself took: the
// wait for the body is not its own.
func (r *Request) Prepared(ctx context.Context, start time.Time, took time.Duration) time.Duration {
	if !r.Protocol.overGRPC() { // whose messages are read before they are calls
		r.calls.took(Read, r.received)
	}
	own := took - r.received
	r.calls.took(Decode, own-r.pictures+time.Duration(r.decode.Load()))
	if preprocess := r.preprocess.Load(); preprocess > 0 {
		r.calls.took(Preprocess, time.Duration(preprocess))
	} else if r.traced {
		span(ctx, "decode", start, took)
	}
	return own
}

// Ran notes that the engine has answered.
func (r *Request) Ran(ctx context.Context, start time.Time, took serving.Timing) {
	r.calls.took(Queue, took.Queue)
	r.calls.took(Infer, took.Infer)
	if r.traced {
		span(ctx, "queue", start, took.Queue)
		span(ctx, "infer", start.Add(took.Queue), took.Infer, attribute.Int("forgo.batch.rows", took.BatchRows))
	}
}

// Answered notes that the answer is written.
func (r *Request) Answered(ctx context.Context, start time.Time, took time.Duration, rows int) {
	r.calls.took(Encode, took)
	r.calls.rows.Add(uint64(max(0, rows)))
	if r.traced {
		span(ctx, "encode", start, took)
	}
}

// scope is what the spans of stages name as their origin.
const scope = "github.com/forgo-ml/forgo/serve"

// span records what has passed already, below the span that ctx has.
func span(ctx context.Context, name string, start time.Time, took time.Duration, about ...attribute.KeyValue) {
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer(scope)
	_, s := tracer.Start(ctx, name, trace.WithTimestamp(start), trace.WithAttributes(about...))
	s.End(trace.WithTimestamp(start.Add(took)))
}
