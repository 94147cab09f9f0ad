package observe

// The end of a request: counting and logging it.

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
)

// Model is one observed version of a model.
type Model struct {
	*predict.Model
	serving.Access // of the same model
	*Calls
}

// State is the current state of a server.
type State struct {
	Models   []Model   // that answer
	Versions []Version // that are known
	Loads    []Loads
	// Ready says that the server takes requests. LogDropped is the number of lost log lines.
	Ready      bool
	LogDropped uint64
	// Closed is the number of connections that were closed to make room for others. GivenUp is the number
	// of requests that were abandoned because they were slow while others needed memory.
	Closed, GivenUp uint64
}

// Version is a version, whether it answers or not.
type Version struct {
	Name, Version string
	Ready         bool
	Gone          bool // its folder
}

// Loads holds how often versions of a model were loaded and refused.
type Loads struct {
	Name            string
	Loaded, Refused uint64
}

// Observer observes a server's requests. It is safe for concurrent use.
type Observer struct {
	refusals  rate
	log       *slog.Logger
	protocols []*Protocol
	traces    trace.TracerProvider // nil where requests are not traced
	registry  *prometheus.Registry
	state     func() State
	nowhere   outcomes // requests that came to no model
}

// New returns an observer of requests in the given protocols. traces is nil if nobody collects them. state
// is called whenever metrics are read, and metrics show only what it returns.
func New(log *slog.Logger, traces trace.TracerProvider, protocols []Protocol, state func() State) *Observer {
	o := &Observer{log: log, traces: traces, state: state}
	for _, p := range protocols {
		p.key = p.Name
		o.protocols = append(o.protocols, &p)
	}
	o.registry = newRegistry(o)
	return o
}

// begin gives a request its id: the client's or, if it is certain to be logged, a new one.
func (o *Observer) begin(ctx context.Context, r *Request, chosen string) {
	r.start = time.Now()
	r.traced = o.traces != nil && trace.SpanFromContext(ctx).IsRecording()
	if validID(chosen) {
		r.id = chosen
	} else if o.log.Enabled(ctx, slog.LevelDebug) {
		r.ID()
	}
}

// end counts and logs a request. It counts only the answers of models, but all failures.
func (o *Observer) end(ctx context.Context, r *Request, method, path string) {
	if r.ended.IsZero() || r.err != nil {
		r.ended = time.Now()
	}
	took := r.ended.Sub(r.start)
	counts := &o.nowhere
	if r.calls != nil {
		counts = &r.calls.outcomes
	}
	level := slog.LevelDebug
	switch {
	case r.err != nil:
		counts.of(r.Protocol).failed[r.reason].Add(1)
		level = r.reason.level()
	case r.calls != nil:
		c := counts.of(r.Protocol)
		c.answered.Add(1)
		c.duration.observe(took)
	}
	if r.traced {
		r.describe(ctx, method)
	}
	if !o.log.Enabled(ctx, level) || r.err != nil && r.reason != Internal && !o.refusals.allow(ctx, o.log) {
		return
	}
	if len(path) > longestPath {
		path = path[:longestPath] + "..."
	}
	attrs := append(make([]slog.Attr, 0, 12), slog.String("request_id", r.id), slog.String("protocol", r.Protocol.Name))
	if r.calls != nil {
		attrs = append(attrs, slog.String("model", r.calls.Name), slog.String("version", r.calls.Version))
	}
	if r.Client != "" {
		attrs = append(attrs, slog.String("client", r.Client))
	}
	if r.From != "" {
		attrs = append(attrs, slog.String("from", r.From))
	}
	attrs = append(attrs, slog.String("method", method))
	if path != "" {
		attrs = append(attrs, slog.String("path", path))
	}
	attrs = append(attrs, slog.Float64("seconds", took.Seconds()))
	message := "request answered"
	if r.err != nil {
		message = "request failed"
		attrs = append(attrs, slog.String("status", r.status), slog.String("reason", r.reason.String()), slog.String("error", r.err.Error()))
	}
	if c := trace.SpanContextFromContext(ctx); c.HasTraceID() {
		attrs = append(attrs, slog.String("trace_id", c.TraceID().String()), slog.String("span_id", c.SpanID().String()))
	}
	o.log.LogAttrs(ctx, level, message, attrs...)
}

// level returns how important a failure is to operators.
func (r Reason) level() slog.Level {
	switch r {
	case Internal:
		return slog.LevelError
	case Busy, Deadline, Unavailable:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
