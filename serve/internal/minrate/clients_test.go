package minrate_test

// Clients that take their time, and those that are too many.

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/access/accesstest"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

const stays = "the server does not hang up"

// drip sends a byte at a time, a tenth of the server's patience apart, until the server hangs
// up, and returns what it said.
func drip(conn net.Conn, text string, patience time.Duration) string {
	_ = conn.SetDeadline(time.Now().Add(waittest.Long))
	tick := time.NewTicker(patience / 10)
	defer tick.Stop()
	heard := make(chan string)
	go func() {
		answer, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			answer = []byte(stays)
		}
		heard <- string(answer)
	}()
	for {
		select {
		case answer := <-heard:
			return answer
		case <-tick.C:
			if text == "" {
				text = " "
			}
			_, _ = io.WriteString(conn, text[:1])
			text = text[1:]
		}
	}
}

func TestSlowClientsAreCut(t *testing.T) {
	const patience = 200 * time.Millisecond
	a := accesstest.New(t)
	cert, key, _ := a.Files(t.TempDir(), "server")
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{ClientTimeout: patience, TLS: servetest.Certificates(t, cert, key, ""), PlainAdmin: true},
		serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort, Admin: servetest.AnyPort})
	const post = "POST /v2/models/iris/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
	for name, c := range map[string]struct{ place, atOnce, slowly, answer string }{
		"a TLS handshake":                    {"http", "\x16\x03\x01", "", ""},
		"a TLS handshake of gRPC":            {"grpc", "\x16\x03\x01", "", ""},
		"headers":                            {"admin", "", "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 1000), ""},
		"a body":                             {"admin", post, "{", "HTTP/1.1 408"},
		"a body that nobody reads":           {"admin", strings.Replace(post, "iris", "none", 1), "{", "HTTP/1.1 404"},
		"a body in chunks":                   {"admin", strings.Replace(post, "Content-Length: 1000000", "Transfer-Encoding: chunked", 1), "fff\r\n{", "HTTP/1.1 408"},
		"a second request on its connection": {"admin", "GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", post, "HTTP/1.1 200"},
		"a body in gzip":                     {"admin", strings.Replace(post, "Host: localhost", "Host: localhost\r\nContent-Encoding: gzip", 1), "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00", "HTTP/1.1 4"},
		"a body after Expect: 100-continue":  {"admin", strings.Replace(post, "Host: localhost", "Host: localhost\r\nExpect: 100-continue", 1), "{", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408"},
		"a repository request, to operators": {"admin", strings.Replace(post, "models/iris/infer", "repository/index", 1), "{", "HTTP/1.1 408"},
		"HTTP/2's preface":                   {"admin", "PRI * HTTP/2.0\r\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := servetest.Dial(t, s.Addresses[c.place])
			if _, err := io.WriteString(conn, c.atOnce); err != nil {
				t.Fatal(err)
			}
			if answer := drip(conn, c.slowly, patience); !strings.HasPrefix(answer, c.answer) || answer == stays {
				t.Errorf("%q, want %q", answer, c.answer)
			}
		})
	}
}

// slowBody gives its bytes in pieces, a tenth of the server's patience apart.
type slowBody struct {
	rest  []byte
	piece int
	tick  *time.Ticker
}

func (b *slowBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	<-b.tick.C
	n := copy(p[:min(len(p), b.piece)], b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// TestClientsThatSendEnoughMayBeSlow sends a body that takes longer than the server's patience.
func TestClientsThatSendEnoughMayBeSlow(t *testing.T) {
	const patience = 500 * time.Millisecond
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{ClientTimeout: patience}, serve.Addresses{HTTP: servetest.AnyPort})
	body := []byte(`{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]` + strings.Repeat(" ", 2<<20) + "}")
	tick := time.NewTicker(patience / 20)
	defer tick.Stop()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Addresses["url"]+"/v2/models/iris/infer", &slowBody{body, len(body) / 30, tick})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, answer)
	}
}

// TestClientsThatDoNotReadAreCut asks and never listens.
func TestClientsThatDoNotReadAreCut(t *testing.T) {
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{ClientTimeout: 100 * time.Millisecond}, serve.Addresses{HTTP: servetest.AnyPort, Admin: servetest.AnyPort})
	conn := servetest.Dial(t, s.Addresses["http"])
	if err := conn.SetDeadline(time.Now().Add(waittest.Long)); err != nil {
		t.Fatal(err)
	}
	for { // until what lies between them is full, and the server hangs up
		if _, err := io.WriteString(conn, "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(stays)
		} else if err != nil {
			break
		}
	}

	h2 := servetest.NewFrames(t, servetest.Dial(t, s.Addresses["admin"]), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	h2.Headers(":method", "GET", ":scheme", "http", ":path", "/v2", ":authority", "x")
	for {
		switch f := h2.Read().(type) {
		case *http2.RSTStreamFrame:
			return
		case *http2.DataFrame:
			if f.StreamEnded() {
				t.Fatal("an answer comes that there is no window for")
			}
		}
	}
}

// TestSlowMessagesAreCut begins a message over gRPC and never ends it.
func TestSlowMessagesAreCut(t *testing.T) {
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{ClientTimeout: 100 * time.Millisecond, MaxBody: 1 << 10}, serve.Addresses{GRPC: servetest.AnyPort, Admin: servetest.AnyPort})
	for _, c := range []struct{ place, deadline string }{{"grpc", ""}, {"grpc", "10m"}, {"grpc", "1H"}, {"admin", ""}} {
		h2 := servetest.NewFrames(t, servetest.Dial(t, s.Addresses[c.place]))
		headers := []string{
			":method", "POST", ":scheme", "http", ":path", pb.GRPCInferenceService_ModelInfer_FullMethodName,
			":authority", "x", "content-type", "application/grpc", "te", "trailers",
		}
		if c.deadline != "" {
			headers = append(headers, "grpc-timeout", c.deadline)
		}
		h2.Headers(headers...)
		if err := h2.WriteData(1, false, []byte{0, 0, 0, 1, 0, 'x'}); err != nil { // the first of 256 bytes
			t.Fatal(err)
		}
		for ended := false; !ended; {
			switch f := h2.Read().(type) {
			case *http2.RSTStreamFrame:
				ended = true
			case *http2.MetaHeadersFrame:
				ended = f.StreamEnded()
			}
		}
	}
}

// TestTheServersOwnTimeIsNotTheClients has a model work for longer than clients may be slow.
func TestTheServersOwnTimeIsNotTheClients(t *testing.T) {
	const patience = 100 * time.Millisecond
	m, err := predict.Options{Threads: 1, Verify: predict.VerifyQuick, MaxDelay: 3 * patience}.Load(t.Context(), servetest.Bundles+"iris.forgo", onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := servetest.RunWith(t, serve.Models{"iris": m}, serve.Options{ClientTimeout: patience, MaxBody: 1 << 10}, serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort})
	if code, _, body := servetest.Exchange(t, http.MethodPost, s.Addresses["url"]+"/models/iris", []byte("[5.1,3.5,1.4,0.2]")); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	if _, err := servetest.GRPCClient(t, s.Addresses["grpc"], insecure.NewCredentials()).ModelInfer(t.Context(), servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)); err != nil {
		t.Error(err)
	}
	s.Stop()
	<-s.Ended
}

// TestHeadersAreBounded sends headers that never end, as many bytes as a server reads of them.
func TestHeadersAreBounded(t *testing.T) {
	s := servetest.RunWith(t, nil, serve.Options{}, serve.Addresses{HTTP: servetest.AnyPort})
	const begin = "GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nX-Long: "
	conn := servetest.Dial(t, s.Addresses["http"])
	if _, err := io.WriteString(conn, begin+strings.Repeat("x", 64<<10+4096-len(begin))); err != nil { // net/http adds 4096
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v, %v", resp, err)
	}
	if code, _, _ := servetest.Exchange(t, http.MethodGet, s.Addresses["url"]+"/v2/health/live", nil, "X-Long", strings.Repeat("x", 60<<10)); code != 200 {
		t.Errorf("60 KiB of headers: %d", code)
	}
}
