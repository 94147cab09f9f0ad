package serve_test

// Stopping, seen by those who are connected.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func wire(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(waittest.Long)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// closed reports whether clients cannot connect.
func closed(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}

// send writes a request and reads its answer.
func send(t *testing.T, conn net.Conn, answers *bufio.Reader, method, path, body string) *http.Response {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	return resp
}

// Until the shutdown delay is over the server says that it is not ready, and answers as before,
// but for asking that connections be closed.
func TestShutdownDelay(t *testing.T) {
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{ShutdownDelay: time.Hour}, serve.Addresses{HTTP: servetest.AnyPort, Admin: servetest.AnyPort})
	conn, answers := wire(t, s.Addresses["http"])
	if resp := send(t, conn, answers, "GET", "/v2/health/ready", ""); resp.StatusCode != 200 || resp.Close {
		t.Fatalf("%+v", resp)
	}
	s.Stop()
	waittest.Until(t, "clients see that it is not ready", func() bool {
		conn, answers := wire(t, s.Addresses["http"])
		return send(t, conn, answers, "GET", "/v2/health/ready", "").StatusCode == 503
	})
	for _, port := range []string{"http", "admin"} {
		conn, answers := wire(t, s.Addresses[port])
		if resp := send(t, conn, answers, "GET", "/v2/health/ready", ""); resp.StatusCode != 503 {
			t.Errorf("%s: %+v", port, resp)
		}
	}
	conn, answers = wire(t, s.Addresses["http"])
	if resp := send(t, conn, answers, "POST", "/models/iris", "[5.1,3.5,1.4,0.2]"); resp.StatusCode != 200 || !resp.Close {
		t.Errorf("%+v", resp)
	}
}

// While a client's request is under way, operators see that the server is not ready.
func TestOperatorsSeeThatItStops(t *testing.T) {
	s := servetest.Run(t, servetest.Committed(t), serve.Addresses{HTTP: servetest.AnyPort, Admin: servetest.AnyPort})
	conn, answers := wire(t, s.Addresses["http"])
	if _, err := io.WriteString(conn, "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := answers.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" { // it reads the body now
		t.Fatalf("%q, %v", line, err)
	}
	s.Stop()
	waittest.Until(t, "operators see that it is not ready", func() bool {
		operator, status := wire(t, s.Addresses["admin"])
		return send(t, operator, status, "GET", "/v2/health/ready", "").StatusCode == 503
	})
	if _, err := io.WriteString(conn, "[5.1,3.5,1.4,0.2]"); err != nil {
		t.Fatal(err)
	}
	if err := <-s.Ended; err != nil {
		t.Error(err)
	}
}

// Those who watch a server's health do not keep it from stopping.
func TestStopDoesNotWaitForWatchers(t *testing.T) {
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{Drain: time.Hour}, serve.Addresses{GRPC: servetest.AnyPort})
	conn := servetest.Connect(t, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Addresses["grpc"])
	})
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []grpc_health_v1.HealthCheckResponse_ServingStatus{grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING} {
		if got, err := watch.Recv(); err != nil || got.GetStatus() != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		s.Stop()
	}
	if err := <-s.Ended; err != nil {
		t.Error(err)
	}
}

// The port for operators goes on while requests of clients are under way: who watches the server sees that it stops.
func TestOperatorsAreAnsweredUntilClientsAre(t *testing.T) {
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{Drain: time.Minute}, serve.Addresses{HTTP: servetest.AnyPort, Admin: servetest.AnyPort})
	conn, answers := wire(t, s.Addresses["http"])
	if _, err := io.WriteString(conn, "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := answers.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" { // it reads the body now
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	waittest.Until(t, "the port for clients is closed", func() bool { return closed(s.Addresses["http"]) })
	operator, heard := wire(t, s.Addresses["admin"])
	if resp := send(t, operator, heard, "GET", "/v2/health/ready", ""); resp.StatusCode != 503 {
		t.Errorf("operators hear %s", resp.Status)
	}
	if _, err := io.WriteString(conn, "[5.1,3.5,1.4,0.2]"); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(answers, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("the request under way: %v, %v", resp, err)
	}
	if err := <-s.Ended; err != nil {
		t.Error(err)
	}
}
