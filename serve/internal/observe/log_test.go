package observe_test

// What the log says of requests, and the ids by which its lines are found.

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// logged is a server whose log can be read.
func logged(models serve.Models, level slog.Level) (*serve.Server, *logLines) {
	var out logLines
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
	return serve.New(models, serve.Options{MaxBody: servetest.MaxBody, Log: log}), &out
}

type logLines struct{ bytes.Buffer }

// take returns the lines since the last call.
func (l *logLines) take(t *testing.T) (lines []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(bytes.Clone(l.Bytes())) {
		var entry map[string]any
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, entry)
	}
	l.Reset()
	return lines
}

func wantFields(t *testing.T, line map[string]any, want map[string]any) {
	t.Helper()
	for name, v := range want {
		if line[name] != v {
			t.Errorf("%s is %v, want %v, in %v", name, line[name], v, line)
		}
	}
}

func TestFailedRequestsAreLogged(t *testing.T) {
	models := servetest.Committed(t)
	server, log := logged(models, slog.LevelInfo)
	h := server.Handler()
	row, _ := servetest.Golden(t, models["iris"], "iris", 0)
	for _, c := range []struct {
		path, body string
		want       map[string]any
	}{
		{"/models/iris", string(row), nil},
		{"/models/iris?top=secret", "[1,2]", map[string]any{"path": "/models/iris", "status": "400", "reason": "bad_input", "model": "iris", "version": "1", "protocol": "native"}},
		{"/v1/models/iris:predict", "{}", map[string]any{"path": "/v1/models/iris:predict", "status": "400", "model": "iris", "protocol": "tfserving"}},
		{"/v2/models/iris/infer", "{}", map[string]any{"status": "400", "model": "iris", "protocol": "oip_http"}},
		{"/v2/models/none/infer", "{}", map[string]any{"status": "404", "reason": "not_found", "model": nil, "protocol": "oip_http"}},
		{"/nowhere", "", map[string]any{"status": "404", "reason": "not_found", "model": nil, "protocol": "other"}},
		{"/models/shapes", strings.Repeat("x", servetest.MaxBody+1), map[string]any{"status": "413", "reason": "too_large", "model": "shapes"}},
	} {
		w := servetest.Ask(t.Context(), h, c.path, c.body)
		lines := log.take(t)
		id := w.Header().Get("X-Request-Id")
		if c.want == nil {
			if w.Code != 200 || len(lines) != 0 || id != "" {
				t.Errorf("%s: a request that nothing is said of: %d, id %q, %v", c.path, w.Code, id, lines)
			}
			continue
		}
		if len(lines) != 1 {
			t.Errorf("%s: %d lines: %v", c.path, len(lines), lines)
			continue
		}
		var answer struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Error(err)
		}
		wantFields(t, lines[0], c.want)
		wantFields(t, lines[0], map[string]any{"msg": "request failed", "level": "INFO", "method": "POST", "error": answer.Error, "request_id": id})
		if seconds, _ := lines[0]["seconds"].(float64); id == "" || seconds <= 0 || strings.Contains(lines[0]["path"].(string), "secret") {
			t.Errorf("%s: %v", c.path, lines[0])
		}
	}
}

func TestEveryRequestIsLoggedAtDebug(t *testing.T) {
	models := servetest.Committed(t)
	server, log := logged(models, slog.LevelDebug)
	row, _ := servetest.Golden(t, models["iris"], "iris", 0)
	w := servetest.Ask(t.Context(), server.Handler(), "/models/iris", string(row))
	lines := log.take(t)
	if len(lines) != 1 {
		t.Fatalf("%v", lines)
	}
	wantFields(t, lines[0], map[string]any{
		"level": "DEBUG", "msg": "request answered", "model": "iris", "version": "1", "protocol": "native",
		"path": "/models/iris", "request_id": w.Header().Get("X-Request-Id"), "error": nil, "reason": nil,
	})
	if lines[0]["request_id"] == "" {
		t.Error("no id")
	}
}

func TestRequestIDsOfClients(t *testing.T) {
	models := servetest.Committed(t)
	server, log := logged(models, slog.LevelInfo)
	h := server.Handler()
	row, _ := servetest.Golden(t, models["iris"], "iris", 0)
	with := func(id, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/models/iris", strings.NewReader(body))
		req.Header.Set("X-Request-Id", id)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	for body, code := range map[string]int{string(row): 200, "{": 400} {
		if w := with("client-7", body); w.Code != code || !slices.Equal(w.Header()["X-Request-Id"], []string{"client-7"}) {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
	wantFields(t, log.take(t)[0], map[string]any{"request_id": "client-7"})
	for _, id := range []string{"two words", strings.Repeat("x", 200), `"`} { // which are not taken
		w := with(id, "{")
		got := w.Header().Get("X-Request-Id")
		if len(got) != 32 {
			t.Errorf("%q: id %q", id, got)
		}
		wantFields(t, log.take(t)[0], map[string]any{"request_id": got})
	}
}

func TestGRPCRequestsAreLogged(t *testing.T) {
	server, log := logged(servetest.Committed(t), slog.LevelInfo)
	client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, server))
	infer := func(id string, req *pb.ModelInferRequest) (string, error) {
		ctx := t.Context()
		if id != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", id)
		}
		var header metadata.MD
		_, err := client.ModelInfer(ctx, req, grpc.Header(&header))
		return strings.Join(header.Get("x-request-id"), " "), err
	}
	good, bad := servetest.IrisRequest(5.1, 3.5, 1.4, 0.2), servetest.IrisRequest(1)
	if id, err := infer("client-7", good); err != nil || id != "client-7" {
		t.Errorf("%q, %v", id, err)
	}
	if id, err := infer("", good); err != nil || id != "" || len(log.take(t)) != 0 {
		t.Errorf("a call that nothing is said of: %q, %v", id, err)
	}
	id, err := infer("", bad)
	if status.Code(err) != codes.InvalidArgument || len(id) != 32 {
		t.Errorf("%q, %v", id, err)
	}
	wantFields(t, log.take(t)[0], map[string]any{
		"request_id": id, "model": "iris", "version": "1", "protocol": "oip_grpc", "method": "ModelInfer",
		"status": "InvalidArgument", "reason": "bad_input", "error": status.Convert(err).Message(),
	})
	if _, err := client.ModelMetadata(t.Context(), &pb.ModelMetadataRequest{Name: "none"}); err == nil {
		t.Error("no such model")
	}
	wantFields(t, log.take(t)[0], map[string]any{"method": "ModelMetadata", "status": "NotFound", "reason": "not_found", "model": nil})
}

// The line of a panic and that of the failed request have the id that the client was told.
func TestPanicsAreFoundByTheirID(t *testing.T) {
	server, log := logged(serve.Models{"broken": nil}, slog.LevelInfo)
	w := servetest.Ask(context.Background(), server.Handler(), "/models/broken", "x")
	lines := log.take(t)
	if w.Code != http.StatusInternalServerError || len(lines) != 2 {
		t.Fatalf("%d %v", w.Code, lines)
	}
	id := w.Header().Get("X-Request-Id")
	wantFields(t, lines[0], map[string]any{"level": "ERROR", "msg": "panic", "request_id": id})
	wantFields(t, lines[1], map[string]any{"level": "ERROR", "msg": "request failed", "request_id": id, "status": "500", "reason": "internal"})
}
