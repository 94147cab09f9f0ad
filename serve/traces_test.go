package serve_test

// Traces; that they reach a collector is tested with the command, in cmd/forgo.

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/forgo-ml/forgo/serve"
)

// Each picture of a request is decoded and preprocessed in spans of its own.
func TestTracesOfPictures(t *testing.T) {
	models := committed(t)
	spans := tracetest.NewInMemoryExporter()
	server := serve.New(models, serve.Options{
		Log: slog.New(slog.DiscardHandler), Traces: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
	})
	picture, _ := golden(t, models["shapes"], "shapes", 0)
	texts := slices.Repeat([]string{base64.StdEncoding.EncodeToString(picture)}, 3)
	body := inferBody(t, "image", "BYTES", []int{3}, texts)
	if w := ask(t.Context(), server.Handler(), "/v2/models/shapes/infer", body); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var names []string
	all := spans.GetSpans()
	request := all[len(all)-1] // it ends last
	for _, s := range all {
		names = append(names, s.Name)
		if s.Name != request.Name && (s.Parent.SpanID() != request.SpanContext.SpanID() ||
			s.StartTime.Before(request.StartTime) || s.EndTime.After(request.EndTime)) {
			t.Errorf("%s is no part of %s", s.Name, request.Name)
		}
	}
	slices.Sort(names)
	const want = "POST /v2/models/{name}/infer decode decode decode encode infer preprocess preprocess preprocess queue"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("spans %s, want %s", got, want)
	}
	scrape(t, server).wantTimes(t, 1, "forgo_stage_duration_seconds", "model=shapes", "stage=preprocess")
}

// Probes and metadata are not traced, and neither is a request whose caller is not sampled.
func TestWhatIsNotTraced(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	h := serve.New(committed(t), serve.Options{
		Log: slog.New(slog.DiscardHandler), Traces: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
	}).Handler()
	for _, path := range []string{"/v2/health/ready", "/v2/models/iris", "/v1/models/iris"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/models/iris", strings.NewReader("[1,2,3,4]"))
	req.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if n := len(spans.GetSpans()); w.Code != 200 || n != 0 {
		t.Errorf("%d, %d spans", w.Code, n)
	}
}
