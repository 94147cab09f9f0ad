package main

// Traces, from a caller's header to a collector that speaks OTLP.

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
)

// spans is a collector.
type spans struct {
	collector.UnimplementedTraceServiceServer
	mu       sync.Mutex
	received []*tracepb.ResourceSpans
}

func (s *spans) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, req.GetResourceSpans()...)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (s *spans) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var export collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	if err != nil || req.URL.Path != "/v1/traces" {
		http.Error(w, "no export", http.StatusBadRequest)
		return
	}
	_, _ = s.Export(req.Context(), &export)
}

// named are the spans of one name.
func (s *spans) named(name string) (found []*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.received {
		for _, scope := range r.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				if span.GetName() == name {
					found = append(found, span)
				}
			}
		}
	}
	return found
}

func attribute(span *tracepb.Span, key string) any {
	for _, kv := range span.GetAttributes() {
		if kv.GetKey() == key {
			if s := kv.GetValue().GetStringValue(); s != "" {
				return s
			}
			return kv.GetValue().GetIntValue()
		}
	}
	return nil
}

// serving is a server started by the command itself.
type serving struct {
	addresses map[string]any // what its log says of its addresses
	lines     chan map[string]any
	stop      context.CancelFunc
	ended     chan int
}

func start(t *testing.T, args ...string) *serving {
	t.Helper()
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	s := &serving{lines: make(chan map[string]any, 100), stop: stop, ended: make(chan int, 1)}
	go func() {
		s.ended <- run(ctx, append([]string{"serve", "--verify", "quick", "--admin", "off"}, args...), io.Discard, w)
		_ = w.Close()
	}()
	lines := json.NewDecoder(r)
	for {
		var entry map[string]any
		if err := lines.Decode(&entry); err != nil {
			t.Fatal(err)
		}
		if entry["msg"] == "serving" {
			s.addresses = entry
			break
		}
	}
	go func() {
		for {
			var entry map[string]any
			if lines.Decode(&entry) != nil {
				return
			}
			s.lines <- entry
		}
	}()
	return s
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00f067aa0ba902b7"
)

func TestTracesReachACollector(t *testing.T) {
	for name, listen := range map[string]func(t *testing.T, s *spans) string{
		"http/protobuf": func(t *testing.T, s *spans) string {
			server := httptest.NewServer(s)
			t.Cleanup(server.Close)
			return server.URL
		},
		"grpc": func(t *testing.T, s *spans) string {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer()
			collector.RegisterTraceServiceServer(server, s)
			go func() { _ = server.Serve(l) }()
			t.Cleanup(server.Stop)
			return "http://" + l.Addr().String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got spans
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", listen(t, &got))
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", name)
			t.Setenv("OTEL_SERVICE_NAME", "flowers")
			s := start(t, iris, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
			for _, body := range []string{"[5.1,3.5,1.4,0.2]", "{"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.addresses["url"].(string)+"/models/iris", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Traceparent", "00-"+traceID+"-"+parent+"-01")
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
			}
			if line := <-s.lines; line["trace_id"] != traceID || line["reason"] != "bad_input" {
				t.Errorf("the log of a traced request: %v", line)
			}
			conn, err := grpc.NewClient(s.addresses["grpc"].(string), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+traceID+"-"+parent+"-01")
			input := &pb.ModelInferRequest_InferInputTensor{
				Name: "input", Datatype: "FP32", Shape: []int64{2, 4},
				Contents: &pb.InferTensorContents{Fp32Contents: make([]float32, 8)},
			}
			if _, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, &pb.ModelInferRequest{
				ModelName: "iris", Inputs: []*pb.ModelInferRequest_InferInputTensor{input},
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := tfpb.NewPredictionServiceClient(conn).Predict(ctx, &tfpb.PredictRequest{
				ModelSpec: &tfpb.ModelSpec{Name: "iris"}, Inputs: map[string]*tfpb.TensorProto{"input": {
					Dtype: tfpb.DataType_DT_FLOAT, FloatVal: make([]float32, 12),
					TensorShape: &tfpb.TensorShapeProto{Dim: []*tfpb.TensorShapeProto_Dim{{Size: 3}, {Size: 4}}},
				}},
			}); err != nil {
				t.Fatal(err)
			}
			s.stop()
			if code := <-s.ended; code != exitDone { // all spans are sent now
				t.Errorf("exit code %d", code)
			}

			overHTTP := got.named("POST /models/{name}")
			overGRPC := slices.Concat(got.named("inference.GRPCInferenceService/ModelInfer"), got.named("tensorflow.serving.PredictionService/Predict"))
			if len(overHTTP) != 2 || len(overGRPC) != 2 {
				t.Fatalf("%d and %d spans of requests, in %v", len(overHTTP), len(overGRPC), got.received)
			}
			for _, span := range slices.Concat(overHTTP, overGRPC) {
				if hex.EncodeToString(span.GetTraceId()) != traceID || hex.EncodeToString(span.GetParentSpanId()) != parent || span.GetKind() != tracepb.Span_SPAN_KIND_SERVER ||
					attribute(span, "forgo.model.name") != "iris" || attribute(span, "forgo.model.version") != "1" {
					t.Errorf("%v", span)
				}
			}
			if s := overHTTP[0]; attribute(s, "http.request.method") != "POST" || attribute(s, "http.route") != "/models/{name}" ||
				attribute(s, "http.response.status_code") != int64(200) || attribute(s, "error.type") != nil {
				t.Errorf("attributes: %v", s)
			}
			if s := overHTTP[1]; attribute(s, "http.response.status_code") != int64(400) || attribute(s, "error.type") != "bad_input" {
				t.Errorf("attributes of a failed request: %v", s)
			}
			for _, stage := range []string{"decode", "queue", "infer", "encode"} {
				children := got.named(stage)
				if len(children) != 3 {
					t.Errorf("%d spans %q", len(children), stage)
					continue
				}
				for i, request := range []*tracepb.Span{overHTTP[0], overGRPC[0], overGRPC[1]} {
					c := children[i]
					if !bytes.Equal(c.GetParentSpanId(), request.GetSpanId()) || c.GetStartTimeUnixNano() < request.GetStartTimeUnixNano() ||
						c.GetEndTimeUnixNano() < c.GetStartTimeUnixNano() || c.GetEndTimeUnixNano() > request.GetEndTimeUnixNano() {
						t.Errorf("%v is no part of %v", c, request)
					}
				}
			}
			if s := got.named("infer")[1]; attribute(s, "forgo.batch.rows") != int64(2) {
				t.Errorf("attributes of the run: %v", s)
			}
			resource := &tracepb.Span{Attributes: got.received[0].GetResource().GetAttributes()}
			if attribute(resource, "service.name") != "flowers" || attribute(resource, "service.version") == nil {
				t.Errorf("resource: %v", resource)
			}
		})
	}
}

// A caller that was not sampled, and variables that switch traces off.
func TestNoTraces(t *testing.T) {
	var got spans
	server := httptest.NewServer(&got)
	defer server.Close()
	for name, c := range map[string]struct{ variable, value, parent string }{
		"not sampled":  {"OTEL_TRACES_SAMPLER", "parentbased_always_on", "-00"},
		"never":        {"OTEL_TRACES_SAMPLER", "always_off", "-01"},
		"no exporter":  {"OTEL_TRACES_EXPORTER", "none", "-01"},
		"SDK disabled": {"OTEL_SDK_DISABLED", "true", "-01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
			t.Setenv(c.variable, c.value)
			s := start(t, iris, "--http", "127.0.0.1:0", "--grpc", "off")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.addresses["url"].(string)+"/models/iris", strings.NewReader("[1,2,3,4]"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Traceparent", "00-"+traceID+"-"+parent+c.parent)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			s.stop()
			if code := <-s.ended; code != exitDone || resp.StatusCode != http.StatusOK || len(got.received) != 0 {
				t.Errorf("exit code %d, status %d, %v", code, resp.StatusCode, got.received)
			}
		})
	}
}

func TestTracesThatCannotBe(t *testing.T) {
	for variable, want := range map[string]string{
		"OTEL_TRACES_EXPORTER":        "OTEL_TRACES_EXPORTER must be otlp, console or none, not \"jaeger\"",
		"OTEL_EXPORTER_OTLP_PROTOCOL": "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or grpc, not \"jaeger\"",
		"OTEL_RESOURCE_ATTRIBUTES":    "OTEL_RESOURCE_ATTRIBUTES",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(variable, "jaeger")
			var stderr bytes.Buffer
			code := run(t.Context(), []string{"serve", iris, "--verify", "quick", "--http", "off"}, io.Discard, &stderr)
			if code != exitRefused || !strings.Contains(stderr.String(), want) {
				t.Errorf("exit code %d, %s", code, &stderr)
			}
		})
	}
}
