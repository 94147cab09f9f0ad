package serve_test

// Loads, unloads, other settings, other folders and the shutdown at the same time, for the race detector.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/repository"
)

// TestChangesAndShutdownAtOnce changes a repository in every way at once while clients ask, and then stops the
// server in the middle of it. Nothing hangs, no answer is anything but a version's own or a refusal that says
// that there is none, and nothing is left running.
func TestChangesAndShutdownAtOnce(t *testing.T) {
	before := runtime.NumGoroutine()
	for round := range 6 {
		t.Run(fmt.Sprint(round), func(t *testing.T) { changeAndStop(t, round) })
	}
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before+2; {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before: %s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
		http.DefaultClient.CloseIdleConnections()
	}
}

func changeAndStop(t *testing.T, round int) {
	root := t.TempDir()
	servetest.PutVersion(t, root, "1")
	servetest.PutVersion(t, root, "2")
	aside := filepath.Join(t.TempDir(), "2")
	var loaded atomic.Int64
	models, err := repository.New([]string{root}, "", repository.Options{
		Log: slog.New(slog.DiscardHandler), Defaults: repository.Settings{Versions: servetest.Policy(t, "latest:2")},
		Load: func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
			m, err := predict.Options{Threads: 1, Verify: predict.VerifyQuick, MaxBatchRows: s.MaxBatchRows}.Load(ctx, path, onnx.Engine())
			if err == nil {
				loaded.Add(1)
			}
			return m, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := models.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	book := servetest.NewLogBook()
	serving, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	s := serve.Repository(models, serve.Options{Log: slog.New(slog.NewJSONHandler(book, nil)), Drain: time.Minute})
	go func() {
		ended <- s.Serve(serving, serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort, Admin: servetest.AnyPort})
	}()
	var addresses map[string]any
	if err := json.Unmarshal([]byte(book.Wait("serving")), &addresses); err != nil {
		t.Fatal(err)
	}
	url, rpc, admin := addresses["url"].(string), addresses["grpc"].(string), "http://"+addresses["admin"].(string)

	var group sync.WaitGroup
	var answers atomic.Int64
	over := make(chan struct{})
	repeat := func(f func(i int)) {
		group.Go(func() {
			for i := round; ; i++ {
				select {
				case <-over:
					return
				default:
					f(i)
				}
			}
		})
	}
	for range 2 {
		repeat(func(i int) {
			what := []string{"load", "unload", "load"}[i%3]
			code, said := tryPost(t.Context(), admin+"/v2/repository/models/iris/"+what, "")
			switch code {
			case 200, 404, 409, 0: // 0: the port is closed
			default:
				t.Errorf("%s: %d %s", what, code, said)
			}
		})
	}
	repeat(func(int) { models.Refresh(t.Context()) })
	repeat(func(i int) {
		models.Configure(t.Context(), map[string]repository.Settings{"iris": {
			MaxBatchRows: 1 + i%2, Labels: map[string]string{"stable": fmt.Sprint(1 + i%3)},
		}})
	})
	repeat(func(int) { models.Reload(t.Context()) })
	repeat(func(int) {
		_ = os.Rename(filepath.Join(root, "iris", "2"), aside)
		runtime.Gosched()
		if err := os.Rename(aside, filepath.Join(root, "iris", "2")); err != nil {
			t.Error(err)
		}
	})
	repeat(func(int) {
		for _, status := range models.Status() {
			_ = status.Stable()
		}
		if code, said := tryPost(t.Context(), url+"/v2/repository/index", ""); code != 200 && code != 0 {
			t.Errorf("index: %d %s", code, said)
		}
	})
	for range 3 {
		repeat(func(i int) {
			code, said := tryPost(t.Context(), fmt.Sprint(url, []string{"/models/iris?top=1", "/v1/models/iris/labels/stable:classify"}[i%2]),
				[]string{"[5.9,3.2,4.8,1.8]", `{"examples":[{"input":[5.9,3.2,4.8,1.8]}]}`}[i%2])
			switch {
			case code == 200 && (strings.Contains(said, "virginica-1") || strings.Contains(said, "virginica-2")):
				answers.Add(1)
			case code == 0 || code == 404 || code == 503:
			default:
				t.Errorf("%d %s", code, said)
			}
		})
	}
	conn := servetest.Connect(t, func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", rpc) })
	calls := pb.NewGRPCInferenceServiceClient(conn)
	repeat(func(int) {
		a, err := calls.ModelInfer(t.Context(), &pb.ModelInferRequest{ModelName: "iris", Inputs: []*pb.ModelInferRequest_InferInputTensor{{
			Name: "input", Datatype: "FP32", Shape: []int64{1, 4}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{5.9, 3.2, 4.8, 1.8}},
		}}})
		switch code := status.Code(err); code {
		case codes.OK:
			if a.GetModelVersion() != "1" && a.GetModelVersion() != "2" {
				t.Errorf("version %q answers", a.GetModelVersion())
			}
			answers.Add(1)
		case codes.Unavailable, codes.NotFound:
		default:
			t.Error(err)
		}
	})
	waittest.Until(t, "50 answers and 20 loads", func() bool { return answers.Load() >= 50 && loaded.Load() >= 20 })
	stop()
	if round%2 == 0 { // while requests are drained, and after
		models.Close()
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the server does not stop")
	}
	models.Close()
	close(over)
	group.Wait()
	if err := models.Load(t.Context(), "iris"); !errors.Is(err, predict.ErrClosed) {
		t.Errorf("loaded after the end: %v", err)
	}
	for _, status := range models.Status() {
		if status.Model != nil {
			t.Errorf("version %s still answers", status.Version)
		}
	}
}

// tryPost returns the status and the body of an answer; 0 is that none came.
func tryPost(ctx context.Context, url, body string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return -1, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(raw)
}
