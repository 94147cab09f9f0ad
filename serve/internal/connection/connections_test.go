package connection_test

// More connections than there is room for: a good caller is answered all the same.

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/access/accesstest"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/internal/shed"
)

const live = "GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

// isAnswered sends a request and reads the answer; false where the server hangs up first.
func isAnswered(conn net.Conn, request string) bool {
	if _, err := io.WriteString(conn, request); err != nil {
		return false
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

// Clients who hold connections and ask for nothing, or take for ever to, make room for one who asks,
// long before their own time is up.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const most = 8
	a := accesstest.New(t)
	cert, key, _ := a.Files(t.TempDir(), "server")
	socket := filepath.Join(t.TempDir(), "s")
	budget := predict.NewBudget(servetest.FloodMemory)
	o := serve.Options{ClientTimeout: 5 * time.Minute, MaxConnections: most, Memory: budget}
	at := serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort, Admin: servetest.AnyPort}
	models := servetest.Committed(t)
	secure := o
	secure.TLS = servetest.Certificates(t, cert, key, "")
	ended := servetest.RunWith(t, models, secure, at).Addresses
	at.Socket = socket
	plain := servetest.RunWith(t, models, o, at).Addresses
	plain["socket"] = socket

	connect := func(place string) net.Conn {
		network := "tcp"
		if place == socket {
			network = "unix"
		}
		conn, err := new(net.Dialer).DialContext(t.Context(), network, place)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	send := func(text string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
	}
	ask := func(conn net.Conn) {
		if !isAnswered(conn, live) {
			t.Error("the first are not answered")
		}
	}
	post := "POST /v2/models/iris/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
	message := func(conn net.Conn) { // the beginning of one
		h2 := servetest.NewFrames(t, conn)
		h2.Headers(":method", "POST", ":scheme", "http", ":path", pb.GRPCInferenceService_ModelInfer_FullMethodName,
			":authority", "x", "content-type", "application/grpc", "te", "trailers")
		_ = h2.WriteData(1, false, []byte{0, 0, 0, 1, 0, 'x'})
	}
	for _, c := range []struct {
		name, place string
		tls         bool
		hold        func(net.Conn)
	}{
		{"HTTP, nothing", plain["http"], false, send("")},
		{"HTTP, after an answer", plain["http"], false, ask},
		{"HTTP, headers", plain["http"], false, send("GET / HTTP/1.1\r\nHost: localhost\r\nX: ")},
		{"HTTP, a body", plain["http"], false, send(post)},
		{"HTTPS, nothing", ended["http"], true, send("")},
		{"HTTPS, half a handshake", ended["http"], true, send("\x16\x03\x01\x02\x00\x01")},
		{"gRPC, nothing", plain["grpc"], false, send("")},
		{"gRPC, a preface", plain["grpc"], false, send(http2.ClientPreface)},
		{"gRPC, a message", plain["grpc"], false, message},
		{"gRPC with TLS, half a handshake", ended["grpc"], true, send("\x16\x03\x01\x02\x00\x01")},
		{"admin, after an answer", plain["admin"], false, ask},
		{"admin, a body", plain["admin"], false, send(post)},
		{"admin, a message", plain["admin"], false, message},
		{"socket, after an answer", socket, false, ask},
		{"socket, headers", socket, false, send("GET / HTTP/1.1\r\nHost: localhost\r\nX: ")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 * most {
				c.hold(connect(c.place))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // the clients' is five
			defer cancel()
			done := make(chan error, 1)
			go func() {
				switch {
				case strings.HasPrefix(c.name, "gRPC"):
					creds := insecure.NewCredentials()
					if c.tls {
						creds = credentials.NewTLS(a.Client(""))
					}
					conn := servetest.GRPCClient(t, c.place, creds)
					_, err := conn.ModelInfer(ctx, servetest.IrisRequest(5.1, 3.5, 1.4, 0.2))
					done <- err
				case c.tls:
					config := a.Client("")
					config.ServerName = "localhost"
					conn := tls.Client(connect(c.place), config)
					done <- okay(isAnswered(conn, live))
				default:
					done <- okay(isAnswered(connect(c.place), live))
				}
			}()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-ctx.Done():
				t.Error("a good caller is not answered")
			}
		})
	}
}

func okay(ok bool) error {
	if !ok {
		return errors.New("a good caller is not answered")
	}
	return nil
}

// A connection whose request the server works on is never closed for another's.
func TestRequestsUnderWayMakeNoRoom(t *testing.T) {
	var blocks atomic.Bool
	goOn := make(chan struct{})
	m, err := predict.Options{Threads: 1, Instances: 1, MaxBatchRows: 1}.Load(t.Context(), servetest.Bundles+"iris.forgo", servetest.Shown{Engine: onnx.Engine(), Saw: func(predict.Tensors) {
		if blocks.Load() {
			<-goOn
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	end := sync.OnceFunc(func() { close(goOn) })
	defer end()
	blocks.Store(true)
	s := servetest.RunWith(t, serve.Models{"iris": m}, serve.Options{MaxConnections: 2}, serve.Addresses{HTTP: servetest.AnyPort})
	const row = "[5.1,3.5,1.4,0.2]"
	ask := fmt.Sprintf("POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(row), row)
	answers := make(chan bool)
	for range 2 {
		conn := servetest.Dial(t, s.Addresses["http"])
		go func() { answers <- isAnswered(conn, ask) }()
	}
	for late := time.Now().Add(time.Minute); serving.Of(m).Stats().QueueCalls < 1 || serving.Of(m).Stats().Running < 1; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("two requests are not under way")
		}
	}
	third := servetest.Dial(t, s.Addresses["http"])
	go func() { answers <- isAnswered(third, live) }()
	time.Sleep(2 * shed.Patient) // by when it would have been let in
	end()
	for range 3 {
		if !<-answers {
			t.Error("a request is not answered")
		}
	}
	s.Stop()
	<-s.Ended
}

// Who holds most connections loses them first, and one who has few keeps them.
func TestOneClientDoesNotCloseOthers(t *testing.T) {
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{MaxConnections: 16, ClientTimeout: time.Minute}, serve.Addresses{HTTP: servetest.AnyPort, Admin: servetest.AnyPort})
	from := func(ip string) net.Conn {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext(t.Context(), "tcp", s.Addresses["http"])
		if err != nil {
			t.Skipf("this machine has no %s: %v", ip, err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	modest := []net.Conn{from("127.0.0.2"), from("127.0.0.2"), from("127.0.0.2")}
	for _, conn := range modest {
		if !isAnswered(conn, live) {
			t.Fatal("the modest one is not answered")
		}
	}
	for range 100 {
		if !isAnswered(from("127.0.0.3"), live) {
			t.Fatal("the greedy one is not answered")
		}
	}
	for _, conn := range modest {
		if !isAnswered(conn, live) {
			t.Error("the modest one has lost a connection")
		}
	}
	resp, err := http.Get("http://" + s.Addresses["admin"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), "\nforgo_clients_given_up_total{reason=\"connections\"} 87\n") {
		t.Errorf("87 connections made room; the metrics say %v %s", err, regexp.MustCompile("forgo_clients_given_up_total{.*").FindAll(text, -1))
	}
}

// Connections are memory: those of a server that may take little are fewer.
func TestConnectionsAreMemory(t *testing.T) {
	budget := predict.NewBudget(8 << 20)
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{Memory: budget, ClientTimeout: time.Minute}, serve.Addresses{HTTP: servetest.AnyPort})
	var all []net.Conn
	for range 300 {
		conn := servetest.Dial(t, s.Addresses["http"])
		if !isAnswered(conn, live) {
			t.Fatal("not answered")
		}
		all = append(all, conn)
	}
	if used := budget.Used(); used > 2<<20 || used < 1<<20 {
		t.Errorf("300 connections take %d bytes", used)
	}
	for _, conn := range all {
		_ = conn.Close()
	}
	servetest.Returned(t, "connections", budget, 0)
}

// Headers count while they come, and when the connection is gone no more.
func TestHeadersAreMemory(t *testing.T) {
	budget := predict.NewBudget(8 << 20)
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{Memory: budget, ClientTimeout: time.Minute}, serve.Addresses{HTTP: servetest.AnyPort})
	var all []net.Conn
	for range 80 {
		conn := servetest.Dial(t, s.Addresses["http"])
		go func() {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 60<<10))
		}()
		all = append(all, conn)
	}
	for end := time.Now().Add(20 * time.Second); budget.Used() < 4<<20; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("they take %d bytes", budget.Used())
		}
	}
	conn := servetest.Dial(t, s.Addresses["http"])
	if !isAnswered(conn, live) {
		t.Error("a good caller is not answered")
	}
	if peak := budget.Peak(); peak > 8<<20 {
		t.Errorf("they took %d bytes", peak)
	}
	for _, conn := range append(all, conn) {
		_ = conn.Close()
	}
	servetest.Returned(t, "headers", budget, 0)
}

// The admin port takes messages through another server, which reads them whole: they count there too.
func TestMessagesToTheAdminPortAreMemory(t *testing.T) {
	budget := predict.NewBudget(8 << 20)
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{Memory: budget, ClientTimeout: time.Minute}, serve.Addresses{Admin: servetest.AnyPort})
	const part, callers = 48 << 10, 20
	var all []net.Conn
	for range callers {
		conn := servetest.Dial(t, s.Addresses["admin"])
		all = append(all, conn)
		h2 := servetest.NewFrames(t, conn)
		h2.Headers(":method", "POST", ":scheme", "http", ":path", pb.GRPCInferenceService_ModelInfer_FullMethodName,
			":authority", "x", "content-type", "application/grpc", "te", "trailers")
		data := make([]byte, part/4)
		copy(data, []byte{0, 1, 0, 0, 0}) // of 16 MiB
		for range 4 {
			if err := h2.WriteData(1, false, data); err != nil {
				t.Fatal(err)
			}
			data = make([]byte, part/4)
		}
	}
	for end := time.Now().Add(20 * time.Second); budget.Used() < callers*(part+servetest.AConnection); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are counted", budget.Used())
		}
	}
	for _, conn := range all {
		_ = conn.Close()
	}
	servetest.Returned(t, "messages to the admin port", budget, 0)

	// Where there is no memory for one it is refused.
	if err := budget.Take(7 << 20); err != nil {
		t.Fatal(err)
	}
	large := servetest.IrisRequest(make([]float32, 4*20_000)...)
	large.Inputs[0].Shape = []int64{20_000, 4}
	client := servetest.GRPCClient(t, s.Addresses["admin"], insecure.NewCredentials())
	if _, err := client.ModelInfer(t.Context(), large); err == nil || status.Code(err) == codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	budget.Give(7 << 20)
	if _, err := client.ModelInfer(t.Context(), servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)); err != nil {
		t.Error(err)
	}
}

// What comes of a message over gRPC counts while it comes, stream by stream, until it is answered or
// given up.
func TestMessagesAreMemoryAsTheyCome(t *testing.T) {
	budget := predict.NewBudget(8 << 20)
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{Memory: budget, ClientTimeout: time.Minute}, serve.Addresses{GRPC: servetest.AnyPort})
	const part = 48 << 10 // within HTTP/2's first windows
	var all []net.Conn
	for range 40 {
		conn := servetest.Dial(t, s.Addresses["grpc"])
		all = append(all, conn)
		h2 := servetest.NewFrames(t, conn)
		h2.Headers(":method", "POST", ":scheme", "http", ":path", pb.GRPCInferenceService_ModelInfer_FullMethodName,
			":authority", "x", "content-type", "application/grpc", "te", "trailers")
		for from := 0; from < part; from += 12 << 10 {
			data := make([]byte, 12<<10)
			if from == 0 {
				copy(data, []byte{0, 1, 0, 0, 0}) // of 16 MiB
			}
			if err := h2.WriteData(1, false, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	for end := time.Now().Add(20 * time.Second); budget.Used() < 40*(part+servetest.AConnection+(8<<10)); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are counted", budget.Used())
		}
	}
	h2 := http2.NewFramer(all[0], all[0])
	before := budget.Used()
	if err := h2.WriteRSTStream(1, http2.ErrCodeCancel); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); budget.Used() > before-part/4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes, %d before a stream was given up", budget.Used(), before)
		}
	}
	client := servetest.GRPCClient(t, s.Addresses["grpc"], insecure.NewCredentials())
	for range 20 { // answered calls hold nothing
		if _, err := client.ModelInfer(t.Context(), servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range all {
		_ = conn.Close()
	}
	servetest.Returned(t, "messages", budget, 1)
}
