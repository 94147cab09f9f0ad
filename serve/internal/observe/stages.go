package observe

// The stages of a request. Each is added to the model's histograms and, if the request is traced, to its
// trace.

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/forgo-ml/forgo/internal/serving"
)

// Enter says that the request has reached a model, where it is under way until c.Leave. It returns when the
// request began.
func (r *Request) Enter(c *Calls) time.Time {
	r.calls = c
	c.inFlight.Add(1)
	if r.start.IsZero() { // without an observer
		r.start = time.Now()
	}
	return r.start
}

// Leave ends what Request.Enter began.
func (c *Calls) Leave() { c.inFlight.Add(-1) }

// Picture records that a picture was decoded and preprocessed. Unlike the other methods, it is safe for
// concurrent use.
func (r *Request) Picture(ctx context.Context, start time.Time, took serving.Timing) {
	r.decode.Add(int64(took.Decode))
	r.preprocess.Add(int64(took.Preprocess))
	if r.traced {
		span(ctx, "decode", start, took.Decode)
		span(ctx, "preprocess", start.Add(took.Decode), took.Preprocess)
	}
}

// Pictures records how long the concurrent preparation of pictures took.
func (r *Request) Pictures(took time.Duration) { r.pictures += took }

// Prepared records that the inputs are ready. It returns the server's own time, without the wait for the
// body.
func (r *Request) Prepared(ctx context.Context, start time.Time, took time.Duration) time.Duration {
	// gRPC reads messages before calls begin.
	if !r.Protocol.overGRPC() {
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

// Ran records that the engine has answered.
func (r *Request) Ran(ctx context.Context, start time.Time, took serving.Timing) {
	r.calls.took(Queue, took.Queue)
	r.calls.took(Infer, took.Infer)
	if r.traced {
		span(ctx, "queue", start, took.Queue)
		span(ctx, "infer", start.Add(took.Queue), took.Infer, attribute.Int("forgo.batch.rows", took.BatchRows))
	}
}

// Answered records that the answer is written.
func (r *Request) Answered(ctx context.Context, start time.Time, took time.Duration, rows int) {
	r.ended = start.Add(took)
	r.calls.took(Encode, took)
	r.calls.rows.Add(uint64(max(0, rows)))
	if r.traced {
		span(ctx, "encode", start, took)
	}
}

// scope is the origin of the spans of stages.
const scope = "github.com/forgo-ml/forgo/serve"

// span records a past stage below the span in ctx.
func span(ctx context.Context, name string, start time.Time, took time.Duration, about ...attribute.KeyValue) {
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer(scope)
	_, s := tracer.Start(ctx, name, trace.WithTimestamp(start), trace.WithAttributes(about...))
	s.End(trace.WithTimestamp(start.Add(took)))
}
