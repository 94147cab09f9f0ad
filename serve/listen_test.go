package serve_test

// Listening on every kind of address, and stopping.

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func TestServeListensAndDrains(t *testing.T) {
	models := servetest.Committed(t)
	socket := filepath.Join(t.TempDir(), "forgo.sock")
	const any0 = "127.0.0.1:0"
	s := servetest.Run(t, models, serve.Addresses{HTTP: any0, GRPC: any0, Admin: any0, Socket: socket})

	if status, _ := servetest.Call(t, "GET", s.Addresses["url"]+"/v2/health/ready", ""); status != 200 {
		t.Errorf("http: %d", status)
	}
	if status, _ := servetest.Call(t, "POST", "http://"+s.Addresses["admin"]+"/v2/repository/models/iris/load", ""); status != 501 {
		t.Errorf("admin: %d", status)
	}
	clients := map[string]pb.GRPCInferenceServiceClient{}
	for _, port := range []string{"grpc", "admin"} {
		conn := servetest.Connect(t, func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.Addresses[port])
		})
		clients[port] = pb.NewGRPCInferenceServiceClient(conn)
		if _, err := clients[port].ModelInfer(t.Context(), servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)); err != nil {
			t.Errorf("gRPC on %s: %v", port, err)
		}
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	row, label := servetest.Golden(t, models["iris"], "iris", 0)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://forgo/models/iris", bytes.NewReader(row))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := servetest.OverSocket(socket).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), `{"classes":[{"label":"`+label) {
		t.Errorf("socket: %s, %v", body, err)
	}
	_ = resp.Body.Close()

	// A request whose body is still on its way when the server is to stop is answered.
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addresses["http"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // it reads the body now
		t.Fatalf("%q, %v", line, err)
	}
	s.Stop()
	waittest.Until(t, "the port is closed", func() bool { return closed(s.Addresses["http"]) })
	if _, err := io.WriteString(conn, "[5.1,3.5,1.4,0.2]"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(answers)
	if err != nil || !strings.Contains(string(rest), "200 OK") || !strings.Contains(string(rest), "setosa") {
		t.Errorf("the request under way: %q, %v", rest, err)
	}
	if err := <-s.Ended; err != nil {
		t.Errorf("stopped with %v", err)
	}
	if _, err := clients["grpc"].ServerLive(t.Context(), &pb.ServerLiveRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("gRPC afterwards: %v", err)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestServeRefusesAddresses(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	folder := t.TempDir()
	file, live, stale := filepath.Join(folder, "file"), filepath.Join(folder, "live"), filepath.Join(folder, "stale")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	answering, err := new(net.ListenConfig).Listen(t.Context(), "unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer answering.Close()
	for want, at := range map[string]serve.Addresses{
		"every address is off":            {},
		"listen on --grpc":                {GRPC: taken.Addr().String()},
		"a file, not a socket":            {Socket: file},
		"another server listens on it":    {Socket: live},
		"listen on --http nonsense":       {HTTP: "nonsense"},
		"listen on --socket /nowhere/at/": {Socket: "/nowhere/at/all"},
	} {
		err := serve.New(nil, serve.Options{Log: slog.New(slog.DiscardHandler)}).Serve(t.Context(), at)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", at, err, want)
		}
	}
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	s := servetest.Run(t, nil, serve.Addresses{Socket: stale})
	s.Stop()
	if err := <-s.Ended; err != nil {
		t.Errorf("a socket left behind: %v", err)
	}
}
