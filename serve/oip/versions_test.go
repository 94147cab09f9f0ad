package oip_test

// Several versions of one model in the Open Inference Protocol.

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/repository"
)

// versioned serves iris as the versions 1 and 2.
func versioned(t *testing.T) *serve.Server {
	t.Helper()
	folder := t.TempDir()
	for _, version := range []string{"1", "2"} {
		if err := os.CopyFS(filepath.Join(folder, "iris", version), os.DirFS(servetest.Bundles+"iris.forgo")); err != nil {
			t.Fatal(err)
		}
	}
	o := repository.Options{
		Log: slog.New(slog.DiscardHandler),
		Load: func(ctx context.Context, path string, _ repository.Settings) (*predict.Model, error) {
			return predict.Options{Threads: 1, Verify: predict.VerifyQuick}.Load(ctx, path, onnx.Engine())
		},
	}
	if err := o.Defaults.Versions.UnmarshalText([]byte("all")); err != nil {
		t.Fatal(err)
	}
	models, err := repository.Open(t.Context(), []string{folder}, "", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(models.Close)
	return serve.Repository(models, serve.Options{Log: o.Log})
}

// Without a version, statistics are those of all.
func TestStatisticsOfEveryVersion(t *testing.T) {
	server := versioned(t)
	rest := httptest.NewServer(server.Handler())
	t.Cleanup(rest.Close)
	rpc := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, server))
	const body = `{"inputs":[{"name":"input","datatype":"FP32","shape":[3,4],"data":[1,2,3,4,1,2,3,4,1,2,3,4]}]}`
	if code, answer := servetest.Call(t, "POST", rest.URL+"/v2/models/iris/versions/1/infer", body); code != 200 {
		t.Fatal(code, answer)
	}
	for at, want := range map[[2]string]string{
		{"", ""}: "1:3 2:0 ", {"iris", ""}: "1:3 2:0 ", {"iris", "1"}: "1:3 ", {"iris", "2"}: "2:0 ",
		{"iris", "3"}: "not found", {"other", ""}: "not found",
	} {
		path := "/v2/models"
		if at[0] != "" {
			path += "/" + at[0]
		}
		if at[1] != "" {
			path += "/versions/" + at[1]
		}
		got := ""
		code, answer := servetest.Call(t, "GET", rest.URL+path+"/stats", "")
		if code == 404 {
			got = "not found"
		} else {
			for _, s := range answer["model_stats"].([]any) {
				m := s.(map[string]any)
				got += fmt.Sprintf("%v:%v ", m["version"], m["inference_count"])
			}
		}
		if got != want {
			t.Errorf("%v over REST: %s, want %s", at, got, want)
		}
		stats, err := rpc.ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{Name: at[0], Version: at[1]})
		got = ""
		if status.Code(err) == codes.NotFound {
			got = "not found"
		}
		for _, m := range stats.GetModelStats() {
			got += fmt.Sprintf("%s:%d ", m.GetVersion(), m.GetInferenceCount())
		}
		if got != want {
			t.Errorf("%v over gRPC: %s, want %s", at, got, want)
		}
	}
}
