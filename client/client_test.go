package client_test

// What the client makes of its arguments, and of servers that answer badly. Its calls to real
// servers are tested in serve/client_test.go.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/forgo-ml/forgo/client"
	pb "github.com/forgo-ml/forgo/internal/oippb"
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

// The header goes with every call, and TLS trusts whom it is told to trust.
func TestTLSAndHeaders(t *testing.T) {
	const key = "Bearer secret"
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != key {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer web.Close()
	rpc := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12})),
		grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
			if md, _ := metadata.FromIncomingContext(ctx); !slices.Equal(md.Get("authorization"), []string{key}) {
				return nil, status.Error(codes.Unauthenticated, "no key")
			}
			return &pb.ServerReadyResponse{Ready: true}, nil
		}))
	pb.RegisterGRPCInferenceServiceServer(rpc, pb.UnimplementedGRPCInferenceServiceServer{})
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = rpc.Serve(l) }()
	defer rpc.Stop()

	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	trusting := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	for _, url := range []string{web.URL, "grpcs://" + l.Addr().String()} {
		for name, c := range map[string]struct {
			o    client.Options
			want error
		}{
			"right":         {client.Options{TLS: trusting, Header: http.Header{"Authorization": {key}}}, nil},
			"no key":        {client.Options{TLS: trusting}, client.ErrDenied},
			"not its roots": {client.Options{Header: http.Header{"Authorization": {key}}}, client.ErrUnavailable},
		} {
			server, err := c.o.New(url)
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Ready(t.Context(), ""); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v", url, name, err)
			}
			_ = server.Close()
		}
	}
}

// Neither an engine nor C comes with the client.
func TestDependencies(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "turbojpeg",
		"-f", "{{if not .Standard}}{{.ImportPath}}{{range .CgoFiles}} C{{end}}{{end}}", ".")
	deps, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(deps)) {
		if dep == "C" || strings.Contains(dep, "onnxruntime") {
			t.Errorf("it needs C, or an engine: %s", deps)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	const y = `{"outputs":[{"name":"y","datatype":"FP32","shape":[2],`
	for name, c := range map[string]struct{ length, body, says string }{
		"no JSON":                 {body: "<html>", says: "want an object"},
		"too few elements":        {body: y + `"data":[1]}]}`, says: "needs 2 elements, got 1"},
		"no number":               {body: y + `"data":[1,"2"]}]}`, says: `"2" is not a number`},
		"unknown datatype":        {body: strings.Replace(y, "FP32", "FP8", 1) + `"data":[1,2]}]}`, says: `unknown datatype "FP8"`},
		"no data":                 {body: y + `"x":0}]}`, says: "needs 8 bytes, got 0"},
		"length past the end":     {length: "999", body: "{}", says: "the body has 2 bytes"},
		"binary past the end":     {length: "96", body: y + `"parameters":{"binary_data_size":8}}]}    1234567`, says: "and the body has 7 bytes left"},
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

// A server that never ends its answer is no reason to run out of memory.
func TestEndlessAnswers(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for req.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}))
	defer web.Close()
	c, err := client.Options{MaxAnswer: 1 << 20}.New(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Metadata(t.Context(), "m"); err == nil || !strings.Contains(err.Error(), "longer than 1048576 bytes") {
		t.Errorf("%v", err)
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
