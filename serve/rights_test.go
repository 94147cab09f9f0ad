package serve_test

// Which key may call what: every route and every gRPC method, on both kinds of port.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// The rights that routes need: on the ports of clients, and on the admin port. A new route has
// a row here, and in docs/operations.md where it is not of the default, predict and admin.
var httpRights = map[string][2]string{
	"GET /v2/":                                        {"predict", "admin"},
	"GET /v2/health/live":                             {"none", "none"},
	"GET /v2/health/ready":                            {"none", "none"},
	"POST /v2/repository/index":                       {"predict", "admin"},
	"POST /v2/repository/models/{name}/load":          {"predict", "admin"},
	"POST /v2/repository/models/{name}/unload":        {"predict", "admin"},
	"GET /v2/models/stats":                            {"predict", "admin"},
	"GET /v2/models/{name}":                           {"predict", "admin"},
	"GET /v2/models/{name}/ready":                     {"none", "none"},
	"GET /v2/models/{name}/stats":                     {"predict", "admin"},
	"GET /v2/models/{name}/config":                    {"predict", "admin"},
	"GET /v2/models/{name}/versions/{version}/config": {"predict", "admin"},
	"POST /v2/models/{name}/infer":                    {"predict", "predict"},
	"GET /v2/models/{name}/versions/{version}":        {"predict", "admin"},
	"GET /v2/models/{name}/versions/{version}/ready":  {"none", "none"},
	"GET /v2/models/{name}/versions/{version}/stats":  {"predict", "admin"},
	"POST /v2/models/{name}/versions/{version}/infer": {"predict", "predict"},
	"GET /v1/models/*":                                {"predict", ""},
	"POST /v1/models/*":                               {"predict", ""},
	"GET /nowhere":                                    {"predict", "admin"},
	"POST /v2/models/{name}/versions//infer":          {"predict", "predict"},
	"GET /v2/models/{name}%2Fready":                   {"predict", "admin"},
	"DELETE /v2/models/{name}":                        {"predict", "admin"},
	"GET /docs":                                       {"predict", ""},
	"GET /":                                           {"predict", ""},
	"GET /models/":                                    {"predict", ""},
	"GET /v1/models":                                  {"predict", ""},
	"GET /v2/models":                                  {"predict", "admin"},
	"GET /openapi.json":                               {"predict", ""},
	"GET /metrics":                                    {"", "metrics"},
	"GET /monitoring/prometheus/metrics":              {"", "metrics"},
	"GET /debug/*":                                    {"", "admin"},
	"POST /models/{name}":                             {"predict", ""},
	"POST /models/{name}/versions/{version}":          {"predict", ""},
}

var rpcRights = map[string][2]string{
	"/inference.GRPCInferenceService/ServerLive":                     {"none", "none"},
	"/inference.GRPCInferenceService/ServerReady":                    {"none", "none"},
	"/inference.GRPCInferenceService/ModelReady":                     {"none", "none"},
	"/inference.GRPCInferenceService/ServerMetadata":                 {"predict", "admin"},
	"/inference.GRPCInferenceService/ModelMetadata":                  {"predict", "admin"},
	"/inference.GRPCInferenceService/ModelInfer":                     {"predict", "predict"},
	"/inference.GRPCInferenceService/ModelConfig":                    {"predict", "admin"},
	"/inference.GRPCInferenceService/ModelStatistics":                {"predict", "admin"},
	"/inference.GRPCInferenceService/RepositoryIndex":                {"predict", "admin"},
	"/inference.GRPCInferenceService/RepositoryModelLoad":            {"predict", "admin"},
	"/inference.GRPCInferenceService/RepositoryModelUnload":          {"predict", "admin"},
	"/tensorflow.serving.PredictionService/Predict":                  {"predict", "predict"},
	"/tensorflow.serving.PredictionService/Classify":                 {"predict", "predict"},
	"/tensorflow.serving.PredictionService/Regress":                  {"predict", "predict"},
	"/tensorflow.serving.PredictionService/MultiInference":           {"predict", "admin"},
	"/tensorflow.serving.PredictionService/GetModelMetadata":         {"predict", "admin"},
	"/tensorflow.serving.ModelService/GetModelStatus":                {"predict", "admin"},
	"/tensorflow.serving.ModelService/HandleReloadConfigRequest":     {"predict", "admin"},
	"/grpc.health.v1.Health/Check":                                   {"none", "none"},
	"/grpc.health.v1.Health/Watch":                                   {"none", "none"},
	"/grpc.health.v1.Health/List":                                    {"predict", "admin"},
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {"predict", "admin"},
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {"predict", "admin"},
}

// verdict is what a caller with a key is to hear where a right is needed.
func verdict(key, need string) string {
	switch {
	case need == "none" || key == need || need == "metrics" && key == "admin":
		return "let through"
	case key == "no" || key == "wrong":
		return "unknown"
	}
	return "forbidden"
}

func TestRightsHTTP(t *testing.T) {
	keyFile, keys := servetest.Keyring(t)
	var log bytes.Buffer
	s := serve.New(servetest.Committed(t), serve.Options{Keys: keyFile, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	seen := map[string]bool{}
	for port, p := range []struct {
		handler http.Handler
		routes  chi.Routes
	}{{s.Handler(), s.Handler().(chi.Routes)}, {s.Admin(), s.AdminRoutes()}} {
		server := httptest.NewServer(p.handler)
		defer server.Close()
		rows := []string{"GET /nowhere", "DELETE /v2/models/{name}", "POST /v2/models/{name}/versions//infer", "GET /v2/models/{name}%2Fready"} // what there is not
		err := chi.Walk(p.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			if !strings.HasPrefix(route, "/debug/") || method == "GET" { // which has every route for every method
				rows = append(rows, method+" "+route)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			listed := row
			if strings.HasPrefix(row, "GET /debug/") {
				listed = "GET /debug/*"
			}
			need := httpRights[listed][port]
			if seen[listed] = true; need == "" {
				t.Errorf("%s: a new route needs a row in this test, which says who may call it", row)
			}
			method, path, _ := strings.Cut(row, " ")
			path = strings.NewReplacer("{name}", "iris", "{version}", "1", "{label}", "stable", "*", "x").Replace(path)
			for name, key := range keys {
				if name == "admin" && (strings.HasSuffix(path, "/pprof/profile") || strings.HasSuffix(path, "/pprof/trace")) {
					continue // which would take their time
				}
				for _, header := range []string{"Authorization", "X-API-Key"} {
					value := key
					if header == "Authorization" && key != "" {
						value = "bearer " + key
					}
					code, h, body := servetest.Exchange(t, method, server.URL+path, nil, header, value)
					want, challenge := verdict(name, need), h.Get("WWW-Authenticate")
					got := map[bool]string{true: "let through", false: "?"}[challenge == ""]
					switch {
					case code == http.StatusUnauthorized && strings.HasPrefix(challenge, "Bearer "):
						got = "unknown"
					case code == http.StatusForbidden && strings.Contains(challenge, "scope="+`"`+need+`"`):
						got = "forbidden"
					}
					if got != want {
						t.Errorf("port %d, %s with the %s key: %d %q %.100s, want %s", port, row, name, code, challenge, body, want)
					}
				}
			}
		}
	}
	for row := range httpRights {
		if !seen[row] {
			t.Errorf("there is no route %s", row)
		}
	}
	noSecrets(t, log.String(), keys)
	for _, want := range []string{"unknown key", "this call needs a key", `does not have the right`, `client=the-metrics-key from=127.0.0.1:`, `client=the-predict-key method=POST`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log", want)
		}
	}
}

// noSecrets fails where a key, or its digest, is in a text.
func noSecrets(t *testing.T, text string, keys map[string]string) {
	t.Helper()
	for name, key := range keys {
		if key != "" && strings.Contains(text, key) {
			t.Errorf("the %s key is in what was written", name)
		}
	}
	if strings.Contains(text, "sha256:") {
		t.Error("a digest is in what was written")
	}
}

func TestRightsGRPC(t *testing.T) {
	keyFile, keys := servetest.Keyring(t)
	var log bytes.Buffer
	s := serve.New(servetest.Committed(t), serve.Options{Keys: keyFile, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	admin := httptest.NewUnstartedServer(s.Admin())
	admin.Config.Protocols = new(http.Protocols)
	admin.Config.Protocols.SetUnencryptedHTTP2(true)
	admin.Start()
	defer admin.Close()
	overAdmin := servetest.Connect(t, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", admin.Listener.Addr().String())
	})
	seen := map[string]bool{}
	for port, conn := range []*grpc.ClientConn{servetest.DialGRPC(t, s), overAdmin} {
		for service, info := range s.GRPC().GetServiceInfo() {
			for _, m := range info.Methods {
				method := "/" + service + "/" + m.Name
				need := rpcRights[method][port]
				if seen[method] = true; need == "" {
					t.Errorf("%s: a new method needs a row in this test, which says who may call it", method)
				}
				for name, key := range keys {
					for _, header := range []string{"authorization", "x-api-key"} {
						value := key
						if header == "authorization" && key != "" {
							value = "Bearer " + key
						}
						err := invoke(metadata.AppendToOutgoingContext(t.Context(), header, value), conn, method, m.IsServerStream)
						got := "let through"
						switch code := status.Code(err); {
						case code == codes.Unauthenticated:
							got = "unknown"
						case code == codes.PermissionDenied && strings.Contains(err.Error(), "does not have the right"):
							got = "forbidden"
						}
						if want := verdict(name, need); got != want {
							t.Errorf("port %d, %s with the %s key: %v, want %s", port, method, name, err, want)
						}
					}
				}
			}
		}
	}
	for method := range rpcRights {
		if !seen[method] {
			t.Errorf("there is no method %s", method)
		}
	}
	// All of the above may come within a second, of which not every line is logged.
	const last = "client=the-predict-key method=ModelInfer"
	for end := time.Now().Add(5 * time.Second); !strings.Contains(log.String(), last) && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		_ = invoke(metadata.AppendToOutgoingContext(t.Context(), "x-api-key", keys["predict"]), servetest.DialGRPC(t, s), "/inference.GRPCInferenceService/ModelInfer", false)
	}
	noSecrets(t, log.String(), keys)
	for _, want := range []string{"reason=unauthenticated", "reason=forbidden", "client=the-admin-key from=", last} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log", want)
		}
	}
}

// invoke sends an empty message and returns the call's result up to its first answer.
func invoke(ctx context.Context, conn *grpc.ClientConn, method string, streams bool) error {
	if !streams {
		return conn.Invoke(ctx, method, new(emptypb.Empty), new(emptypb.Empty))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
		return stream.RecvMsg(new(emptypb.Empty))
	}
	_ = stream.CloseSend()
	return stream.RecvMsg(new(emptypb.Empty))
}

// TestRefusedBeforeTheBody sends headers and nothing more.
func TestRefusedBeforeTheBody(t *testing.T) {
	keys, _ := servetest.Keyring(t)
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{Keys: keys}, serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort})
	conn := servetest.Dial(t, s.Addresses["http"])
	if _, err := io.WriteString(conn, "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nContent-Encoding: gzip\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%v, %v", resp, err)
	}

	h2 := servetest.NewFrames(t, servetest.Dial(t, s.Addresses["grpc"]))
	h2.Headers(":method", "POST", ":scheme", "http", ":path", "/inference.GRPCInferenceService/ModelInfer",
		":authority", "x", "content-type", "application/grpc", "te", "trailers")
	for {
		frame, ok := h2.Read().(*http2.MetaHeadersFrame)
		if !ok {
			continue
		}
		for _, field := range frame.Fields {
			if field.Name == "grpc-status" {
				if field.Value != fmt.Sprint(int(codes.Unauthenticated)) {
					t.Errorf("%v", frame.Fields)
				}
				return
			}
		}
	}
}
