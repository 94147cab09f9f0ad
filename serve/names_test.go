package serve_test

// Model names are no paths: a bundle beside the folder of models is out of reach.

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/repository"
)

func TestNamesDoNotWalkPaths(t *testing.T) {
	root := t.TempDir()
	models := filepath.Join(root, "models")
	for _, at := range []string{"models/iris/1", "secret.forgo", "secret/1", "models/.hidden/1"} {
		folder := filepath.Join(root, at)
		if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(bundletest.Copy(t, servetest.Bundles+"iris.forgo"), folder); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	repo, err := repository.Open(t.Context(), []string{models}, "", repository.Options{
		Log: log,
		Load: func(_ context.Context, path string, _ repository.Settings) (*predict.Model, error) {
			return servetest.Load(t, path), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	s := serve.Repository(repo, serve.Options{Log: log})
	clients := httptest.NewServer(s.Handler())
	defer clients.Close()
	adminURL, adminConn := servetest.StartAdmin(t, s)
	conn := servetest.DialGRPC(t, s)
	rpc, prediction, modelService := pb.NewGRPCInferenceServiceClient(conn), tfpb.NewPredictionServiceClient(conn), tfpb.NewModelServiceClient(conn)
	adminRPC := pb.NewGRPCInferenceServiceClient(adminConn)

	row := []byte("[5.1,3.5,1.4,0.2]")
	infer := []byte(`{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}`)
	if code, _, body := servetest.Exchange(t, "POST", clients.URL+"/v2/models/iris/infer", infer); code != 200 {
		t.Fatalf("the model that there is: %d %s", code, body)
	}
	for _, name := range []string{
		"..", "../secret", "../secret.forgo", "../models/iris", "../../models/iris", "iris/../iris", "iris/1", "iris/../../secret/1", "./iris", "iris/",
		root + "/secret", "file://" + root + "/secret", `..\secret`, `..\..\secret`, ".hidden", ".", "iris\x00", "iris\x00/../secret",
		"..%2fsecret", "%2e%2e/secret", "....//secret", "..;/secret", "~", "$HOME", "iris ", " iris", "IRIS", "iris.forgo", "*", "",
	} {
		escaped := url.PathEscape(name)
		twice := url.PathEscape(escaped)
		dots := strings.ReplaceAll(escaped, ".", "%2e")
		for _, in := range []string{name, escaped, twice, dots} {
			if in == "" || strings.ContainsAny(in, "\x00 ") {
				continue // which asks for all, or cannot be in a request line
			}
			for _, c := range []struct {
				method, url string
				body        []byte
			}{
				{"GET", clients.URL + "/v2/models/" + in, nil},
				{"GET", clients.URL + "/v2/models/" + in + "/stats", nil},
				{"GET", clients.URL + "/v2/models/" + in + "/versions/1", nil},
				{"GET", clients.URL + "/v2/models/iris/versions/" + in + "/stats", nil},
				{"POST", clients.URL + "/v2/models/" + in + "/infer", infer},
				{"POST", clients.URL + "/v2/models/iris/versions/" + in + "/infer", infer},
				{"GET", clients.URL + "/v1/models/" + in + "/metadata", nil},
				{"POST", clients.URL + "/v1/models/" + in + ":predict", []byte(`{"instances":[[5.1,3.5,1.4,0.2]]}`)},
				{"POST", clients.URL + "/v1/models/iris/versions/" + in + ":predict", []byte(`{"instances":[[5.1,3.5,1.4,0.2]]}`)},
				{"POST", clients.URL + "/v1/models/iris/labels/" + in + ":predict", []byte(`{"instances":[[5.1,3.5,1.4,0.2]]}`)},
				{"POST", clients.URL + "/models/" + in, row},
				{"POST", adminURL + "/v2/models/" + in + "/infer", infer},
				{"POST", adminURL + "/v2/repository/models/" + in + "/load", nil},
				{"POST", adminURL + "/v2/repository/models/" + in + "/unload", nil},
			} {
				code, _, body := servetest.Exchange(t, c.method, c.url, c.body)
				if code < 400 || code >= 500 || strings.Contains(string(body), models) {
					t.Errorf("%s %s: %d %s", c.method, c.url, code, body)
				}
			}
		}

		ctx := t.Context()
		request := servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)
		request.ModelName = name
		_, err1 := rpc.ModelInfer(ctx, request)
		_, err2 := rpc.ModelMetadata(ctx, &pb.ModelMetadataRequest{Name: name})
		if r, err := rpc.ModelReady(ctx, &pb.ModelReadyRequest{Name: name}); err != nil || r.GetReady() {
			t.Errorf("%q is ready: %v, %v", name, r, err)
		}
		_, err3 := adminRPC.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: name})
		_, err4 := adminRPC.RepositoryModelUnload(ctx, &pb.RepositoryModelUnloadRequest{ModelName: name})
		spec := &tfpb.ModelSpec{Name: name}
		_, err5 := prediction.Predict(ctx, &tfpb.PredictRequest{ModelSpec: spec, Inputs: servetest.PredictIris(5.1, 3.5, 1.4, 0.2).GetInputs()})
		_, err6 := prediction.Classify(ctx, &tfpb.ClassificationRequest{ModelSpec: spec})
		_, err7 := prediction.Regress(ctx, &tfpb.RegressionRequest{ModelSpec: spec})
		_, err8 := prediction.GetModelMetadata(ctx, &tfpb.GetModelMetadataRequest{ModelSpec: spec, MetadataField: []string{"signature_def"}})
		_, err9 := modelService.GetModelStatus(ctx, &tfpb.GetModelStatusRequest{ModelSpec: spec})
		for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9} {
			if status.Code(err) != codes.NotFound || strings.Contains(err.Error(), models) {
				t.Errorf("%q over gRPC, call %d: %v", name, i+1, err)
			}
		}
		if name != "" {
			request.ModelName, request.ModelVersion = "iris", name
			if _, err := rpc.ModelInfer(ctx, request); status.Code(err) != codes.NotFound {
				t.Errorf("version %q over gRPC: %v", name, err)
			}
			labelled := servetest.PredictIris(5.1, 3.5, 1.4, 0.2)
			labelled.ModelSpec.VersionChoice = &tfpb.ModelSpec_VersionLabel{VersionLabel: name}
			if _, err := prediction.Predict(ctx, labelled); status.Code(err) != codes.InvalidArgument || strings.Contains(err.Error(), models) {
				t.Errorf("label %q over gRPC: %v", name, err)
			}
		}
	}
	var served []string
	for _, m := range repo.All() {
		served = append(served, m.Name+" "+m.Version)
	}
	if len(served) != 1 || served[0] != "iris 1" {
		t.Errorf("what is served now is %q", served)
	}
}
