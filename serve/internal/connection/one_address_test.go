//go:build unix

package connection_test

// All that one address may hold keeps no caller from another address out.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func TestOneAddressKeepsNobodyOut(t *testing.T) {
	if testing.Short() {
		t.Skip("it opens thousands of connections")
	}
	const post = "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
	for _, c := range []struct {
		name     string
		callers  int
		sent     string
		answered bool // each is answered once, and stays
		trickles bool // each goes on to send, a byte at a time
	}{
		{"kept-alive connections", 8300, live, true, false},
		{"bodies of 32 MiB that trickle", 33, fmt.Sprintf(post, 32<<20), false, true},
		{"bodies of 32 MiB that trickle, half of them there", 33, fmt.Sprintf(post, 32<<20) + strings.Repeat(" ", 16<<20), false, true},
		{"bodies that stop after 1 KB", 600, fmt.Sprintf(post, 1000) + strings.Repeat(" ", 900), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var limit unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(2*c.callers+200) {
				t.Skipf("%d connections take two descriptors each, and this process may have %d: %v", c.callers, limit.Cur, err)
			}
			budget := predict.NewBudget(256 << 20)
			m, err := predict.Options{Threads: 1, Budget: budget}.Load(t.Context(), servetest.Bundles+"iris.forgo", onnx.Engine())
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			s := servetest.RunWith(t, serve.Models{"iris": m}, serve.Options{Memory: budget, ClientTimeout: 10 * time.Minute}, serve.Addresses{HTTP: servetest.AnyPort})
			from := func(ip string) net.Conn {
				conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext(t.Context(), "tcp", s.Addresses["http"])
				if err != nil {
					t.Skipf("this machine has no %s: %v", ip, err)
				}
				return conn
			}
			over := make(chan struct{})
			var greedy sync.WaitGroup
			defer greedy.Wait()
			defer close(over)
			silent := make(chan struct{}, 64) // who have not sent yet
			for range c.callers {
				conn := from("127.0.0.3")
				silent <- struct{}{}
				greedy.Go(func() {
					defer conn.Close()
					stopped := make(chan struct{})
					defer close(stopped)
					go func() { // a write may wait for the server for ever
						select {
						case <-over:
							_ = conn.Close()
						case <-stopped:
						}
					}()
					sent := make(chan struct{})
					go func() {
						select {
						case <-sent:
						case <-time.After(time.Second): // the server does not read it
						}
						<-silent
					}()
					_, err := io.WriteString(conn, c.sent)
					if err == nil && c.answered {
						_, err = http.ReadResponse(bufio.NewReader(conn), nil)
					}
					close(sent)
					for err == nil && c.trickles {
						select {
						case <-over:
							return
						case <-time.After(50 * time.Millisecond):
							_, err = io.WriteString(conn, " ")
						}
					}
					<-over
				})
			}
			for range cap(silent) { // all have sent, or wait for the server to read
				silent <- struct{}{}
			}
			row := "[5.1,3.5,1.4,0.2]"
			for body := range map[string]bool{row: true, strings.Repeat(" ", 1<<20) + row: true} {
				for range 5 {
					conn := from("127.0.0.2")
					if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil { // the others may take ten
						t.Fatal(err)
					}
					if !isAnswered(conn, fmt.Sprintf(post, len(body))+body) {
						t.Errorf("a good caller with %d bytes is not answered", len(body))
					}
					_ = conn.Close()
				}
			}
		})
	}
}
