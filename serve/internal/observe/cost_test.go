package observe

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/internal/serving"
)

var testProtocols = []Protocol{{Name: "native", Prefix: "/models"}, {Name: "oip_grpc", Services: []string{"inference.GRPCInferenceService"}}}

// through is a request's way through a model.
func through(ctx context.Context, r *Request, calls *Calls) {
	r.Enter(calls)
	defer calls.Leave()
	now := time.Now()
	r.Prepared(ctx, now, time.Millisecond)
	r.Ran(ctx, now, serving.Timing{Infer: time.Millisecond, BatchRows: 1})
	r.Answered(ctx, now, time.Millisecond, 1)
}

func watched(ctx context.Context) (o *Observer, calls *Calls, ask func()) {
	calls = NewCalls("iris", "1")
	o = New(slog.New(slog.NewJSONHandler(io.Discard, nil)), nil, testProtocols, func() State { return State{} })
	h := o.TraceHTTP(o.HTTP(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { through(req.Context(), Of(w), calls) })))
	req, w := httptest.NewRequestWithContext(ctx, http.MethodPost, "/models/iris", nil), httptest.NewRecorder()
	return o, calls, func() { h.ServeHTTP(w, req) }
}

// A request that is counted and timed, and neither logged nor traced, takes no memory for it;
// a call over gRPC takes its context.
func TestWatchingCostsNoMemory(t *testing.T) {
	o, calls, ask := watched(t.Context())
	if n := testing.AllocsPerRun(1000, ask); n != 0 {
		t.Errorf("a request over HTTP: %v allocations", n)
	}
	info := &grpc.UnaryServerInfo{FullMethod: "/inference.GRPCInferenceService/ModelInfer"}
	answer := func(ctx context.Context, _ any) (any, error) {
		through(ctx, From(ctx), calls)
		return nil, nil
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = o.Unary(t.Context(), nil, info, answer) }); n > 1 {
		t.Errorf("a call over gRPC: %v allocations", n)
	}
	if len(o.TraceGRPC()) != 0 {
		t.Error("a gRPC server has a handler of traces that nobody collects")
	}
	if n := calls.outcomes.of(o.protocols[0]).answered.Load() + calls.outcomes.of(o.protocols[1]).answered.Load(); n != 2002 {
		t.Errorf("%d requests were counted", n)
	}
}

func BenchmarkWatching(b *testing.B) {
	_, _, ask := watched(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}
