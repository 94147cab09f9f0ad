package repository_test

// What clients and operators see of models that change.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/repository"
)

// index is what the repository index says, as VERSION=STATE.
func index(t *testing.T, url, body string) string {
	t.Helper()
	status, _, raw := servetest.Exchange(t, "POST", url+"/v2/repository/index", []byte(body))
	var list []struct{ Name, Version, State, Reason string }
	if err := json.Unmarshal(raw, &list); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, raw, err)
	}
	var text []string
	for _, e := range list {
		text = append(text, e.Version+"="+e.State)
	}
	return strings.Join(text, " ")
}

func TestRepositoryVersions(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"1", "2", "3"} {
		servetest.PutVersion(t, root, version)
	}
	_, url, _ := servetest.Watched(t, root, map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "2", "canary": "3"}}})
	row := `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.9,3.2,4.8,1.8]}]}`
	for path, want := range map[string]struct {
		status  int
		version string
	}{
		"": {200, "2"}, "/versions/2": {200, "2"}, "/versions/3": {200, "3"},
		"/versions/1": {503, "policy latest:2"}, "/versions/9": {404, "no version"},
	} {
		status, answer := servetest.Call(t, "POST", url+"/v2/models/iris"+path+"/infer", row)
		text, _ := json.Marshal(answer)
		if status != want.status || !strings.Contains(string(text), want.version) {
			t.Errorf("infer%s: %d %s, want %d %s", path, status, text, want.status, want.version)
		}
		if status, _, _ := servetest.Exchange(t, "GET", url+"/v2/models/iris"+path+"/ready", nil); status != want.status {
			t.Errorf("ready%s: %d, want %d", path, status, want.status)
		}
	}
	for path, want := range map[string]string{
		"": "-2", "/versions/3": "-3", "/labels/stable": "-2", "/labels/canary": "-3",
	} {
		_, _, raw := servetest.Exchange(t, "POST", url+"/v1/models/iris"+path+":classify", []byte(`{"examples":[{"input":[5.9,3.2,4.8,1.8]}]}`))
		if !strings.Contains(string(raw), "virginica"+want) {
			t.Errorf("classify%s: %s, want the labels of %s", path, raw, want)
		}
	}
	if status, answer := servetest.Call(t, "POST", url+"/v1/models/iris/labels/next:predict", "{}"); status != 404 || !strings.Contains(answer["error"].(string), "canary") {
		t.Errorf("label next: %d %v", status, answer)
	}
	_, _, raw := servetest.Exchange(t, "GET", url+"/v1/models/iris", nil)
	for _, want := range []string{`"version":"3","state":"AVAILABLE"`, `"version":"1","state":"END","status":{"error_code":"UNAVAILABLE"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("status: %s, want %s", raw, want)
		}
	}
	if _, _, raw := servetest.Exchange(t, "GET", url+"/v1/models/iris/versions/1", nil); strings.Count(string(raw), "state") != 1 || !strings.Contains(string(raw), "END") {
		t.Errorf("status of one version: %s", raw)
	}
	_, answer := servetest.Call(t, "GET", url+"/v2/models/iris", "")
	if versions, _ := json.Marshal(answer["versions"]); string(versions) != `["2","3"]` {
		t.Errorf("versions %s", versions)
	}
	if got := index(t, url, ""); got != "1=UNAVAILABLE 2=READY 3=READY" {
		t.Error(got)
	}
	if got := index(t, url, `{"ready":true}`); got != "2=READY 3=READY" {
		t.Error(got)
	}
}

func TestRepositoryLoadAndUnload(t *testing.T) {
	root := t.TempDir()
	servetest.PutVersion(t, root, "1")
	_, url, admin := servetest.Watched(t, root, nil)
	change := func(where, what, body string, want int, words string) {
		t.Helper()
		status, _, raw := servetest.Exchange(t, "POST", where+"/v2/repository/models/"+what, []byte(body))
		if status != want || !strings.Contains(string(raw), words) {
			t.Errorf("%s %s: %d %s, want %d %q", what, body, status, raw, want, words)
		}
	}
	change(url, "iris/unload", "", 403, "use the admin port")
	change(admin, "iris/unload", `{"parameters":{"unload_dependents":true}}`, 200, "")
	if got := index(t, url, ""); got != "1=UNAVAILABLE" {
		t.Error(got)
	}
	if status, answer := servetest.Call(t, "POST", url+"/models/iris", `{"input":[1,2,3,4]}`); status != 503 || !strings.Contains(answer["error"].(string), "unloaded on request") {
		t.Errorf("unloaded: %d %v", status, answer)
	}
	servetest.PutVersion(t, root, "2")
	change(admin, "iris/load", "", 200, "")
	if got := index(t, url, ""); got != "1=READY 2=READY" {
		t.Error(got)
	}
	change(admin, "nothing/load", "", 404, "nothing")
	change(admin, "nothing/unload", "", 404, "nothing")
	change(admin, "..%2firis/load", "", 404, "")
	change(admin, "iris/load", `{"parameters":{"config":"{}"}}`, 400, "config")
	change(admin, "iris/load", `[]`, 400, "repository load")
	servetest.PutVersion(t, root, "3")
	if err := os.WriteFile(filepath.Join(root, "iris", "3", "model.onnx"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	change(admin, "iris/load", "", 409, "model.onnx")
	if got := index(t, url, ""); got != "1=READY 2=READY 3=UNAVAILABLE" {
		t.Error(got)
	}
}

func TestGRPCRepositoryLoadAndUnload(t *testing.T) {
	root := t.TempDir()
	servetest.PutVersion(t, root, "1")
	_, _, admin := servetest.Watched(t, root, nil)
	conn, err := grpc.NewClient(strings.TrimPrefix(admin, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := pb.NewGRPCInferenceServiceClient(conn)
	unload := func(name string) error {
		_, err := c.RepositoryModelUnload(t.Context(), &pb.RepositoryModelUnloadRequest{ModelName: name})
		return err
	}
	load := func(name string, parameters map[string]*pb.ModelRepositoryParameter) error {
		_, err := c.RepositoryModelLoad(t.Context(), &pb.RepositoryModelLoadRequest{ModelName: name, Parameters: parameters})
		return err
	}
	if err := unload("iris"); err != nil {
		t.Fatal(err)
	}
	if r, err := c.ModelReady(t.Context(), &pb.ModelReadyRequest{Name: "iris"}); err != nil || r.GetReady() {
		t.Errorf("ready while unloaded: %v, %v", r, err)
	}
	if _, err := c.ModelMetadata(t.Context(), &pb.ModelMetadataRequest{Name: "iris"}); status.Code(err) != codes.Unavailable {
		t.Errorf("metadata while unloaded: %v", err)
	}
	if err := load("iris", nil); err != nil {
		t.Fatal(err)
	}
	if r, err := c.ModelReady(t.Context(), &pb.ModelReadyRequest{Name: "iris"}); err != nil || !r.GetReady() {
		t.Errorf("ready once loaded: %v, %v", r, err)
	}
	for what, c := range map[string]struct {
		err  error
		code codes.Code
	}{
		"load nothing":   {load("nothing", nil), codes.NotFound},
		"unload nothing": {unload("nothing"), codes.NotFound},
		"load a config":  {load("iris", map[string]*pb.ModelRepositoryParameter{"config": {}}), codes.InvalidArgument},
	} {
		if status.Code(c.err) != c.code {
			t.Errorf("%s: %v, want %v", what, c.err, c.code)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "iris", "1", "model.onnx"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := load("iris", nil); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "model.onnx") {
		t.Errorf("load what was spoiled: %v", err)
	}
	list, err := c.RepositoryIndex(t.Context(), &pb.RepositoryIndexRequest{Ready: true})
	if err != nil || len(list.GetModels()) != 1 || !strings.Contains(list.GetModels()[0].GetReason(), "model.onnx") {
		t.Errorf("index: %v, %v", list, err)
	}
}
