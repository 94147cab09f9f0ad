package serve_test

// What the tests of all protocols share: servers of real models, and calls to them.

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
)

const (
	bundles = "../conformance/bundles/"
	graphs  = "../conformance/graphs/"
	maxBody = 1 << 20
)

func loadBundle(tb testing.TB, path string) *predict.Model {
	tb.Helper()
	o := predict.Options{Threads: 1, Verify: predict.VerifyQuick}
	m, err := o.Load(tb.Context(), path, onnx.Engine())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = m.Close() })
	return m
}

// committed loads the two bundles of the repository.
func committed(tb testing.TB) serve.Models {
	tb.Helper()
	models := serve.Models{}
	for _, name := range []string{"shapes", "iris"} {
		models[name] = loadBundle(tb, bundles+name+".forgo")
	}
	return models
}

// graphModel is the model of a bundle around one of the conformance graphs.
func graphModel(tb testing.TB, graph string) *predict.Model {
	tb.Helper()
	return taskModel(tb, graph, "tensors")
}

// taskModel is one that says what its task is, and is changed further by edits.
func taskModel(tb testing.TB, graph, task string, edits ...func(manifest map[string]any)) *predict.Model {
	tb.Helper()
	return loadBundle(tb, graphBundle(tb, graph, task, edits...))
}

func graphBundle(tb testing.TB, graph, task string, edits ...func(manifest map[string]any)) string {
	tb.Helper()
	data, err := os.ReadFile(graphs + graph + ".onnx")
	if err != nil {
		tb.Fatal(err)
	}
	info, err := onnx.Inspect(data)
	if err != nil {
		tb.Fatal(err)
	}
	place := bundletest.Copy(tb, bundles+"iris.forgo")
	bundletest.Write(tb, place, "model.onnx", data)
	bundletest.Edit(tb, place, func(m map[string]any) {
		ends := func(specs []tensor.Spec) []any {
			var out []any
			for _, s := range specs {
				shape := []any{nil}
				for _, d := range s.Shape[min(1, len(s.Shape)):] {
					shape = append(shape, d)
				}
				out = append(out, map[string]any{"name": s.Name, "graph_name": s.Name, "dtype": string(s.DType), "shape": shape})
			}
			return out
		}
		m["task"], m["inputs"], m["outputs"] = task, ends(info.Inputs), ends(info.Outputs)
		m["golden"] = map[string]any{"cases": []any{}, "none": "a graph of the conformance suite"}
		delete(m, "labels")
		for _, edit := range edits {
			edit(m)
		}
		for name := range m["files"].(map[string]any) {
			if strings.HasPrefix(name, "golden/") {
				delete(m["files"].(map[string]any), name)
			}
		}
	})
	return place
}

func newServer(models serve.Models) *serve.Server {
	return serve.New(models, serve.Options{MaxBody: maxBody, Log: slog.New(slog.DiscardHandler)})
}

// listen serves models over HTTP and returns the address.
func listen(tb testing.TB, models serve.Models) string {
	tb.Helper()
	s := httptest.NewServer(newServer(models).Handler())
	tb.Cleanup(s.Close)
	return s.URL
}

// start serves the committed bundles.
func start(tb testing.TB) (string, serve.Models) {
	tb.Helper()
	models := committed(tb)
	return listen(tb, models), models
}

// exchange sends a request with headers, given as name and value in turn.
func exchange(tb testing.TB, method, url string, body []byte, headers ...string) (status int, header http.Header, answer []byte) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, resp.Header, raw
}

// call is an exchange whose answer is a JSON object.
func call(tb testing.TB, method, url, body string) (int, map[string]any) {
	tb.Helper()
	status, _, raw := exchange(tb, method, url, []byte(body))
	var answer map[string]any
	if err := json.Unmarshal(raw, &answer); err != nil {
		tb.Fatalf("%s %s: status %d, body %q is not a JSON object", method, url, status, raw)
	}
	return status, answer
}

func golden(tb testing.TB, m *predict.Model, name string, i int) (raw []byte, label string) {
	tb.Helper()
	c := m.Manifest().Golden.Cases[i]
	raw, err := os.ReadFile(filepath.Join(bundles+name+".forgo", c.Input))
	if err != nil {
		tb.Fatal(err)
	}
	return raw, c.Label
}

// best returns, for each row of scores, the label of its largest.
func best(scores []float32, labels []string) []string {
	var out []string
	for ; len(scores) > 0; scores = scores[len(labels):] {
		top := 0
		for j := range labels {
			if scores[j] > scores[top] {
				top = j
			}
		}
		out = append(out, labels[top])
	}
	return out
}
