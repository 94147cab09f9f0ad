package serve_test

// A server whose models are still being loaded.

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/repository"
)

func TestReadyOnceTheModelsAreLoaded(t *testing.T) {
	root := t.TempDir()
	servetest.PutVersion(t, root, "1")
	started, held := make(chan struct{}), make(chan struct{})
	models, err := repository.New([]string{root}, "", repository.Options{
		Log: slog.New(slog.DiscardHandler),
		Load: func(ctx context.Context, path string, _ repository.Settings) (*predict.Model, error) {
			close(started)
			<-held
			return predict.Options{Threads: 1}.Load(ctx, path, onnx.Engine())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	book := servetest.NewLogBook()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	addresses := map[string]string{}
	for _, kind := range []string{"http", "grpc", "admin"} {
		l, err := net.Listen("tcp", servetest.AnyPort)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close() // and hopes that nobody takes it
		addresses[kind] = l.Addr().String()
	}
	addresses["url"] = "http://" + addresses["http"]
	s := serve.Repository(models, serve.Options{Log: slog.New(slog.NewJSONHandler(book, nil))})
	go func() {
		ended <- s.Serve(ctx, serve.Addresses{HTTP: addresses["http"], GRPC: addresses["grpc"], Admin: addresses["admin"]})
	}()
	if line := book.Wait("listening; not ready until the models are loaded"); strings.Contains(line, "127.0.0.1") {
		t.Errorf("%s: whoever reads an address takes the server for ready", line)
	}
	conn := servetest.Connect(t, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addresses["grpc"])
	})
	health, calls := grpc_health_v1.NewHealthClient(conn), pb.NewGRPCInferenceServiceClient(conn)
	row := `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.9,3.2,4.8,1.8]}]}`
	look := func(ready bool, status int) {
		t.Helper()
		for path, want := range map[string]int{"/v2/health/live": 200, "/v2/health/ready": status, "/v2/models/iris/ready": status, "/v2/models/iris": status} {
			for _, port := range []string{addresses["url"], "http://" + addresses["admin"]} {
				if got, answer := servetest.Call(t, "GET", port+path, ""); got != want {
					t.Errorf("ready %t: %s%s is %d %v, want %d", ready, port, path, got, answer, want)
				}
			}
		}
		if got, answer := servetest.Call(t, "POST", addresses["url"]+"/v2/models/iris/infer", row); got != status || !ready && !strings.Contains(answer["error"].(string), "is loading") {
			t.Errorf("ready %t: %d %v", ready, got, answer)
		}
		server, err := calls.ServerReady(t.Context(), &pb.ServerReadyRequest{})
		live, liveErr := calls.ServerLive(t.Context(), &pb.ServerLiveRequest{})
		model, modelErr := calls.ModelReady(t.Context(), &pb.ModelReadyRequest{Name: "iris"})
		if errors.Join(err, liveErr, modelErr) != nil || server.GetReady() != ready || !live.GetLive() || model.GetReady() != ready {
			t.Errorf("ready %t: %v %v %v", ready, server, live, model)
		}
		for _, service := range []string{"", "inference.GRPCInferenceService"} {
			h, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
			if want := map[bool]grpc_health_v1.HealthCheckResponse_ServingStatus{
				true: grpc_health_v1.HealthCheckResponse_SERVING, false: grpc_health_v1.HealthCheckResponse_NOT_SERVING,
			}[ready]; err != nil || h.GetStatus() != want {
				t.Errorf("ready %t: health of %q is %v, %v", ready, service, h, err)
			}
		}
	}
	<-started // until then, the model is not loaded yet
	look(false, 503)
	close(held)
	book.Wait("serving")
	look(true, 200)
	// A single model that is unloaded leaves nothing to be ready for.
	if status, _, _ := servetest.Exchange(t, "POST", "http://"+addresses["admin"]+"/v2/repository/models/iris/unload", nil); status != 200 {
		t.Errorf("unload: %d", status)
	}
	if status, _ := servetest.Call(t, "GET", addresses["url"]+"/v2/health/ready", ""); status != 503 {
		t.Errorf("ready with its only model unloaded: %d", status)
	}
	if h, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil || h.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health with its only model unloaded: %v, %v", h, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	models.Close()
}

// TestStopsWhileItLoads has a load that does not end, which nothing waits for.
func TestStopsWhileItLoads(t *testing.T) {
	root := t.TempDir()
	servetest.PutVersion(t, root, "1")
	held := make(chan struct{})
	defer close(held)
	models, err := repository.New([]string{root}, "", repository.Options{
		Log: slog.New(slog.DiscardHandler),
		Load: func(context.Context, string, repository.Settings) (*predict.Model, error) {
			<-held
			return nil, errors.New("let go")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	book := servetest.NewLogBook()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s := serve.Repository(models, serve.Options{Log: slog.New(slog.NewJSONHandler(book, nil))})
	go func() { ended <- s.Serve(ctx, serve.Addresses{HTTP: servetest.AnyPort}) }()
	book.Wait("listening; not ready until the models are loaded")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
