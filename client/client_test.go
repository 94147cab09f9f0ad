package client_test

// What the client makes of its arguments, and of servers that answer badly. Its calls to real
// servers are tested in serve/client_test.go.

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/client"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func TestNewRefusesURLs(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:8080", "ftp://host", "http://", "grpc://host:1/path", "http://bad host"} {
		if _, err := client.New(url); err == nil || !strings.Contains(err.Error(), "server URL") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestModelNames(t *testing.T) {
	c, err := client.New("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, name := range []string{"", "a/b", "a/versions/", "a/versions/1/2", "/versions/1"} {
		if _, err := c.Infer(t.Context(), name, nil); err == nil || !strings.Contains(err.Error(), "model \"") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := c.Infer(t.Context(), "a", nil); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
}

func TestTheHeaderAndThePathReachTheServer(t *testing.T) {
	var got *http.Request
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got = req }))
	defer web.Close()
	c, err := client.Options{Header: http.Header{"Authorization": {"Bearer secret"}}}.New(web.URL + "/behind/a/proxy/")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Ready(t.Context(), "näme/versions/3"); err != nil {
		t.Fatal(err)
	}
	if got.URL.Path != "/behind/a/proxy/v2/models/näme/versions/3/ready" || got.Header.Get("Authorization") != "Bearer secret" {
		t.Errorf("%s %v", got.URL, got.Header)
	}
}

func TestBadAnswers(t *testing.T) {
	const y = `{"outputs":[{"name":"y","datatype":"FP32","shape":[2],`
	for name, c := range map[string]struct{ length, body, says string }{
		"no JSON":                 {body: "<html>", says: "want an object"},
		"too few elements":        {body: y + `"data":[1]}]}`, says: "needs 2 elements, got 1"},
		"no number":               {body: y + `"data":[1,"2"]}]}`, says: `"2" is not a number`},
		"unknown datatype":        {body: strings.Replace(y, "FP32", "FP8", 1) + `"data":[1,2]}]}`, says: `no datatype "FP8"`},
		"no data":                 {body: y + `"x":0}]}`, says: "needs 8 bytes, got 0"},
		"length past the end":     {length: "999", body: "{}", says: "the body has 2 bytes"},
		"binary past the end":     {length: "96", body: y + `"parameters":{"binary_data_size":8}}]}    1234567`, says: "of which the body has 7"},
		"binary data that remain": {length: "2", body: "{}1234", says: "4 bytes of binary data are left"},
		"another version":         {body: `{"model_version":"2","outputs":[]}`, says: `version "2" answered`},
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if c.length != "" {
				w.Header().Set("Inference-Header-Content-Length", c.length)
			}
			_, _ = w.Write([]byte(c.body))
		}))
		server, err := client.New(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = server.Infer(t.Context(), "m/versions/1", tensor.Map{"x": {Shape: []int64{1}, Data: []float32{1}}})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
		web.Close()
	}
}

func TestErrorsSayWhatTheServerSays(t *testing.T) {
	for body, says := range map[string]string{
		`{"error":"bad thing"}`:                 "400 Bad Request: bad thing",
		`{"detail":[{"loc":["inputs"]}]}`:       `400 Bad Request: [{"loc":["inputs"]}]`,
		"plain words\n":                         "400 Bad Request: plain words",
		"":                                      "400 Bad Request: the server says no more",
		`{"error":"` + strings.Repeat("x", 600): "x…",
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(body))
		}))
		c, err := client.New(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Metadata(t.Context(), "m"); !errors.Is(err, client.ErrInput) || !strings.HasSuffix(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
		web.Close()
	}
}
