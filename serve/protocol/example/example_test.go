package example_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/access/accesstest"
	"github.com/forgo-ml/forgo/serve/protocol/example"
)

func ask(t *testing.T, method, url, key, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// A protocol is one folder: its value alone gives it routes, rights and metrics.
func TestAProtocolIsOneFolder(t *testing.T) {
	o := predict.Options{Threads: 1, Verify: predict.VerifyQuick}
	m, err := o.Load(t.Context(), "../../../conformance/bundles/iris.forgo", onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	key, line, err := access.NewKey("tester", []access.Right{access.Predict, access.Metrics})
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/keys"
	accesstest.Replace(t, file, []byte(line+"\n"))
	keys, err := access.OpenKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	s := serve.New(serve.Models{"iris": m}, serve.Options{
		Protocols: append(serve.Protocols(), example.Protocol), Keys: keys, Log: slog.New(slog.DiscardHandler),
	})
	clients, operators := httptest.NewServer(s.Handler()), httptest.NewServer(s.Admin())
	defer clients.Close()
	defer operators.Close()

	const table = "input[0],input[1],input[2],input[3]\n5.1,3.5,1.4,0.2\n6.7,3,5.2,2.3\n"
	if status, body := ask(t, "POST", clients.URL+"/best/iris", key, table); status != 200 || body != "setosa\nvirginica\n" {
		t.Errorf("%d %q", status, body)
	}
	for name, c := range map[string]struct {
		url, key, body string
		status         int
	}{
		"no key":             {clients.URL + "/best/iris", "", table, 401},
		"no such model":      {clients.URL + "/best/rose", key, table, 404},
		"a bad cell":         {clients.URL + "/best/iris", key, "input[0],input[1],input[2],input[3]\nx,1,1,1\n", 400},
		"the admin port":     {operators.URL + "/best/iris", key, table, 403},
		"another of its own": {clients.URL + "/models/iris", key, "[5.1,3.5,1.4,0.2]", 200},
	} {
		if status, body := ask(t, "POST", c.url, c.key, c.body); status != c.status {
			t.Errorf("%s: %d %q, want %d", name, status, body, c.status)
		}
	}
	_, metrics := ask(t, "GET", operators.URL+"/metrics", key, "")
	for _, want := range []string{
		`forgo_requests_total{model="iris",protocol="best",version="1"} 2`,
		`forgo_request_failures_total{model="iris",protocol="best",reason="bad_input",version="1"} 1`,
		`forgo_request_failures_total{model="",protocol="best",reason="not_found",version=""} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}
