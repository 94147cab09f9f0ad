package observe_test

// Traces; that they reach a collector is tested with the command, in cmd/forgo.

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// Each picture of a request is decoded and preprocessed in spans of its own.
func TestTracesOfPictures(t *testing.T) {
	models := servetest.Committed(t)
	spans := tracetest.NewInMemoryExporter()
	server := serve.New(models, serve.Options{
		Log: slog.New(slog.DiscardHandler), Traces: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
	})
	picture, _ := servetest.Golden(t, models["shapes"], "shapes", 0)
	values := slices.Repeat([]string{base64.StdEncoding.EncodeToString(picture)}, 3)
	body := servetest.InferBody(t, "image", "BYTES", []int{3}, values)
	if w := servetest.Ask(t.Context(), server.Handler(), "/v2/models/shapes/infer", body); w.Code != 200 {
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

// Inference has one span for each request, in every protocol that has it, for clients and on the
// port for operators alike.
func TestTracesOfEveryProtocol(t *testing.T) {
	models := servetest.Committed(t)
	models["half"] = servetest.TaskModel(t, "half-plus-three", "regression")
	spans := tracetest.NewInMemoryExporter()
	server := serve.New(models, serve.Options{
		Log: slog.New(slog.DiscardHandler), Traces: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
	})
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	const traceparent = "00-" + trace + "-" + parent + "-01"
	clients := httptest.NewServer(server.Handler())
	defer clients.Close()
	adminURL, adminConn := servetest.StartAdmin(t, server)
	row := []float32{5.1, 3.5, 1.4, 0.2}
	calls := map[string]func(context.Context, *grpc.ClientConn) error{
		"inference.GRPCInferenceService/ModelInfer": func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, servetest.IrisRequest(row...))
			return err
		},
		"tensorflow.serving.PredictionService/Predict": func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := tfpb.NewPredictionServiceClient(conn).Predict(ctx, servetest.PredictIris(row...))
			return err
		},
		"tensorflow.serving.PredictionService/Classify": func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := tfpb.NewPredictionServiceClient(conn).Classify(ctx, &tfpb.ClassificationRequest{
				ModelSpec: &tfpb.ModelSpec{Name: "iris"}, Input: servetest.ExampleList(servetest.FloatList(row...), "input"),
			})
			return err
		},
		"tensorflow.serving.PredictionService/Regress": func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := tfpb.NewPredictionServiceClient(conn).Regress(ctx, &tfpb.RegressionRequest{
				ModelSpec: &tfpb.ModelSpec{Name: "half"}, Input: servetest.ExampleList(servetest.FloatList(1), "x"),
			})
			return err
		},
	}
	post := func(path, body string) func(url string) {
		return func(url string) {
			if status, _, answer := servetest.Exchange(t, http.MethodPost, url+path, []byte(body), "Traceparent", traceparent); status != http.StatusOK {
				t.Errorf("%s: %d %s", path, status, answer)
			}
		}
	}
	infer := post("/v2/models/iris/infer", servetest.InferBody(t, "input", "FP32", []int{1, 4}, row))
	for _, c := range []struct {
		name, protocol, model string
		send                  func()
	}{
		{"POST /v2/models/{name}/infer", "oip_http", "iris", func() { infer(clients.URL) }},
		{"POST /v2/models/{name}/infer", "oip_http", "iris", func() { infer(adminURL) }},
		{"POST /v1/models/*", "tfserving", "iris", func() { post("/v1/models/iris:predict", `{"instances":[[1,2,3,4]]}`)(clients.URL) }},
		{"POST /models/{name}", "native", "iris", func() { post("/models/iris", "[1,2,3,4]")(clients.URL) }},
		{"inference.GRPCInferenceService/ModelInfer", "oip_grpc", "iris", nil},
		{"tensorflow.serving.PredictionService/Predict", "tfserving_grpc", "iris", nil},
		{"tensorflow.serving.PredictionService/Classify", "tfserving_grpc", "iris", nil},
		{"tensorflow.serving.PredictionService/Regress", "tfserving_grpc", "half", nil},
	} {
		sends := []func(){c.send}
		if call := calls[c.name]; call != nil {
			sends = nil
			for _, conn := range []*grpc.ClientConn{servetest.DialGRPC(t, server), adminConn} {
				sends = append(sends, func() {
					if err := call(metadata.AppendToOutgoingContext(t.Context(), "traceparent", traceparent), conn); err != nil {
						t.Errorf("%s: %v", c.name, err)
					}
				})
			}
		}
		for i, send := range sends {
			spans.Reset()
			send()
			var requests []tracetest.SpanStub
			waitUntil(t, func() bool { // the span ends once the answer is sent
				requests = slices.DeleteFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Parent.SpanID().String() != parent })
				return len(requests) > 0
			})
			got := map[string]string{}
			for _, a := range requests[0].Attributes {
				got[string(a.Key)] = a.Value.String()
			}
			if s := requests[0]; len(requests) != 1 || s.Name != c.name || s.SpanContext.TraceID().String() != trace ||
				got["forgo.protocol"] != c.protocol || got["forgo.model.name"] != c.model {
				t.Errorf("%s, send %d: span %q of %d, %v", c.name, i, s.Name, len(requests), got)
			}
			if n := len(spans.GetSpans()); n != 5 { // its own, decode, queue, infer and encode
				t.Errorf("%s, send %d: %d spans", c.name, i, n)
			}
		}
	}
}

// Probes, metadata and changes of the repository are not traced, and neither is a request whose caller is not sampled.
func TestWhatIsNotTraced(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	server := serve.New(servetest.Committed(t), serve.Options{
		Log: slog.New(slog.DiscardHandler), Traces: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
	})
	h := server.Handler()
	for _, path := range []string{"/v2/health/ready", "/v2/models/iris", "/v1/models/iris"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	adminURL, _ := servetest.StartAdmin(t, server)
	for _, url := range []string{"/v2/repository/index", "/v2/repository/models/iris/load"} {
		servetest.Exchange(t, http.MethodPost, adminURL+url, nil)
		servetest.Ask(t.Context(), h, url, "")
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/models/iris", strings.NewReader("[1,2,3,4]"))
	req.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if n := len(spans.GetSpans()); w.Code != 200 || n != 0 {
		t.Errorf("%d, %d spans", w.Code, n)
	}
}
