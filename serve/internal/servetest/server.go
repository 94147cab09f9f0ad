package servetest

// Servers, in memory and on ports.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/access/accesstest"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Browse serves the committed bundles to the pages of origins, and to operators.
func Browse(t *testing.T, o serve.Options) (clients, admin string) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	server := serve.New(Committed(t), o)
	var urls []string
	for _, h := range []http.Handler{server.Handler(), server.Admin()} {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	return urls[0], urls[1]
}

// New is a server without a log.
func New(models serve.Models) *serve.Server {
	return serve.New(models, serve.Options{MaxBody: MaxBody, Log: slog.New(slog.DiscardHandler)})
}

// Listen serves models over HTTP and returns the address.
func Listen(tb testing.TB, models serve.Models) string {
	tb.Helper()
	s := httptest.NewServer(New(models).Handler())
	tb.Cleanup(s.Close)
	return s.URL
}

// Start serves the committed bundles.
func Start(tb testing.TB) (string, serve.Models) {
	tb.Helper()
	models := Committed(tb)
	return Listen(tb, models), models
}

// Running is a server that listens.
type Running struct {
	Addresses map[string]string // what its log says of its addresses
	Log       *LogBook
	Stop      context.CancelFunc
	Ended     chan error
}

// LogBook is a log that can be waited for.
type LogBook struct {
	mu    sync.Mutex
	grown *sync.Cond
	text  []byte
	read  int // as far as Wait has come
}

// NewLogBook returns an empty one.
func NewLogBook() *LogBook {
	l := &LogBook{}
	l.grown = sync.NewCond(&l.mu)
	return l
}

func (l *LogBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	l.grown.Broadcast()
	return len(b), nil
}

func (l *LogBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Wait returns the next line with one of these messages, once it is written.
func (l *LogBook) Wait(messages ...string) (line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		end := bytes.IndexByte(l.text[l.read:], '\n')
		if end < 0 {
			l.grown.Wait()
			continue
		}
		line = string(l.text[l.read : l.read+end])
		l.read += end + 1
		for _, message := range messages {
			if strings.Contains(line, `"msg":"`+message+`"`) {
				return line
			}
		}
	}
}

// Run serves until the test ends.
func Run(t *testing.T, models serve.Models, at serve.Addresses) *Running {
	t.Helper()
	return RunWith(t, models, serve.Options{}, at)
}

// RunWith is Run with options.
func RunWith(t *testing.T, models serve.Models, o serve.Options, at serve.Addresses) *Running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	out := &Running{Log: NewLogBook(), Stop: stop, Ended: make(chan error, 1), Addresses: map[string]string{}}
	o.Log = slog.New(slog.NewJSONHandler(out.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() {
		err := serve.New(models, o).Serve(ctx, at)
		if err != nil {
			o.Log.Error("serving failed", "error", err) // for wait, in case it never served
		}
		out.Ended <- err
	}()
	var entry map[string]any
	line := out.Log.Wait("serving", "serving failed")
	if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["error"] != nil {
		t.Fatal(line)
	}
	for name, v := range entry {
		out.Addresses[name], _ = v.(string)
	}
	return out
}

// OverSocket is a client that connects to a Unix socket, whatever the address.
func OverSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

// Connect is a client over gRPC that connects by dial.
func Connect(tb testing.TB, dial func(context.Context) (net.Conn, error)) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// DialGRPC serves over a connection in memory.
func DialGRPC(tb testing.TB, server *serve.Server) *grpc.ClientConn {
	tb.Helper()
	l := bufconn.Listen(1 << 20)
	s := server.GRPC()
	go func() { _ = s.Serve(l) }()
	tb.Cleanup(s.Stop)
	return Connect(tb, l.DialContext)
}

// StartAdmin serves operators, over HTTP at the address that it returns and over gRPC.
func StartAdmin(tb testing.TB, server *serve.Server) (url string, conn *grpc.ClientConn) {
	tb.Helper()
	s := httptest.NewUnstartedServer(server.Admin())
	s.Config.Protocols = Unencrypted()
	s.Start()
	tb.Cleanup(s.Close)
	return s.URL, Connect(tb, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	})
}

// PutVersion puts a copy of iris, with labels that end in -VERSION, into a folder of models.
func PutVersion(t *testing.T, root, version string) {
	t.Helper()
	place := bundletest.Copy(t, Bundles+"iris.forgo")
	bundletest.Edit(t, place, func(m map[string]any) {
		for i, label := range m["labels"].([]any) {
			m["labels"].([]any)[i] = label.(string) + "-" + version
		}
		for _, c := range m["golden"].(map[string]any)["cases"].([]any) {
			c.(map[string]any)["label"] = c.(map[string]any)["label"].(string) + "-" + version
		}
	})
	to := filepath.Join(root, "iris", version)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(place, to); err != nil {
		t.Fatal(err)
	}
}

// Watched serves a folder of models, for clients and for operators.
func Watched(t *testing.T, root string, settings map[string]repository.Settings) (*repository.Repository, string, string) {
	t.Helper()
	models, err := repository.Open(t.Context(), []string{root}, "", repository.Options{
		Load: func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
			return predict.Options{Threads: 1}.Load(ctx, path, onnx.Engine())
		},
		Defaults: repository.Settings{Versions: Policy(t, "latest:2")},
		Models:   settings, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(models.Close)
	s := serve.Repository(models, serve.Options{MaxBody: MaxBody, Log: slog.New(slog.DiscardHandler)})
	clients, admin := httptest.NewServer(s.Handler()), httptest.NewUnstartedServer(s.Admin())
	admin.Config.Protocols = Unencrypted()
	admin.Start()
	t.Cleanup(clients.Close)
	t.Cleanup(admin.Close)
	return models, clients.URL, admin.URL
}

// Policy reads a version policy.
func Policy(t *testing.T, text string) (p repository.Policy) {
	t.Helper()
	if err := p.Set(text); err != nil {
		t.Fatal(err)
	}
	return p
}

// protocols returns the admin port's protocols: HTTP/2 without TLS too, for gRPC.
func Unencrypted() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Keyring is a file with a key for each right, and the keys by right. "wrong" is not in the file.
func Keyring(t *testing.T) (*access.Keys, map[string]string) {
	t.Helper()
	keys := map[string]string{"no": "", "wrong": "forgo_" + strings.Repeat("A", 26)}
	var file strings.Builder
	for _, right := range []access.Right{access.Predict, access.Admin, access.Metrics} {
		key, line, err := access.NewKey("the-"+string(right)+"-key", []access.Right{right})
		if err != nil {
			t.Fatal(err)
		}
		keys[string(right)] = key
		fmt.Fprintln(&file, line)
	}
	path := filepath.Join(t.TempDir(), "keys")
	accesstest.Replace(t, path, []byte(file.String()))
	opened, err := access.OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return opened, keys
}

// PredictionService is a client of TensorFlow Serving's API.
func PredictionService(tb testing.TB, models serve.Models) tfpb.PredictionServiceClient {
	tb.Helper()
	return tfpb.NewPredictionServiceClient(DialGRPC(tb, New(models)))
}

// AnyPort is an address of this machine alone, with a port that is free.
const AnyPort = "127.0.0.1:0"

// Certificates opens files of certificates.
func Certificates(t *testing.T, cert, key, ca string) *access.Certificates {
	t.Helper()
	c, err := access.OpenCertificates(cert, key, ca)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// GRPCClient is a client of the Open Inference Protocol.
func GRPCClient(t *testing.T, address string, c credentials.TransportCredentials) pb.GRPCInferenceServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewGRPCInferenceServiceClient(conn)
}
