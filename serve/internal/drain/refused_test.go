package drain_test

// Clients that send all of a large request before they read why it was refused.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func TestRefusedClientsReadWhy(t *testing.T) {
	url, _ := servetest.Start(t)
	address := strings.TrimPrefix(url, "http://")
	const large = 64 << 20 // more than what sockets buffer
	body := make([]byte, 1<<20)
	for name, c := range map[string]struct {
		path   string
		header string
		status int
	}{
		"unknown model":     {"/models/other", fmt.Sprintf("Content-Length: %d", large), 404},
		"too large":         {"/models/iris", fmt.Sprintf("Content-Length: %d", large), 413},
		"too large, packed": {"/models/iris", fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d", large), 413},
		"chunked":           {"/v2/models/iris/infer", "Transfer-Encoding: chunked", 413},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", c.path, c.header)
			chunked := strings.HasPrefix(c.header, "Transfer")
			for range large / len(body) {
				if chunked {
					fmt.Fprintf(conn, "%x\r\n", len(body))
				}
				if _, err := conn.Write(body); err != nil {
					t.Fatalf("send the body: %v", err)
				}
				if chunked {
					fmt.Fprint(conn, "\r\n")
				}
			}
			if chunked {
				fmt.Fprint(conn, "0\r\n\r\n")
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != c.status {
				t.Errorf("%d %s, %v; want %d", resp.StatusCode, answer, err, c.status)
			}
		})
	}
}

// A client that waits for leave to send its body is refused without being asked for it.
func TestRefusedBeforeTheBodyIsAskedFor(t *testing.T) {
	url, _ := servetest.Start(t)
	for path, status := range map[string]int{"/models/other": 404, "/models/iris": 413, "/v1/models/iris:predict": 413, "/v2/models/iris/infer": 413} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n", path)
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != status {
			t.Fatal(path, resp, err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ReadByte(); err != io.EOF { // the server closes, and does not wait for it
			t.Errorf("%s: after the answer: %v", path, err)
		}
	}
}
