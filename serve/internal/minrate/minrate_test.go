package minrate_test

// The minimum rate, by a clock that moves only when all wait for it.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forgo-ml/forgo/serve/internal/minrate"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// TestMinimumRate sends bodies at different rates: each has 20 s, and a second more for each 64 KiB that has come, and
// may pause for no longer than these 20 s.
func TestMinimumRate(t *testing.T) {
	for name, c := range map[string]struct {
		piece int           // bytes
		every time.Duration // a piece
		whole int           // bytes that the body has
		after time.Duration // when it is answered
		want  int
	}{
		"a byte a second":             {1, time.Second, 1000, 20 * time.Second, http.StatusRequestTimeout},
		"nothing":                     {0, time.Hour, 1000, 20 * time.Second, http.StatusRequestTimeout},
		"64 KiB a second":             {64 << 10, time.Second, 100 * 64 << 10, 100 * time.Second, http.StatusNotFound},
		"much, and then nothing":      {1 << 20, time.Hour, 2 << 20, 20 * time.Second, http.StatusRequestTimeout},
		"half of it, for a short one": {32 << 10, time.Second, 10 * 32 << 10, 10 * time.Second, http.StatusNotFound},
		"half of it, for a long one":  {32 << 10, time.Second, 200 * 32 << 10, 39 * time.Second, http.StatusRequestTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := slog.New(slog.DiscardHandler)
				read := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						w.WriteHeader(http.StatusRequestTimeout)
						return
					}
					w.WriteHeader(http.StatusNotFound)
				})
				server := &http.Server{Handler: minrate.HTTP(20 * time.Second)(read), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
				listener := make(pipes, 1)
				served := make(chan struct{})
				go func() {
					defer close(served)
					_ = server.Serve(listener)
				}()
				ours, theirs := net.Pipe()
				listener <- theirs
				start := time.Now()
				go func() {
					_, err := fmt.Fprintf(ours, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", c.whole)
					for sent := 0; err == nil && c.piece > 0 && sent < c.whole; sent += c.piece {
						_, err = io.WriteString(ours, strings.Repeat(" ", c.piece))
						time.Sleep(c.every)
					}
				}()
				resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(start)
				// The last piece is read when it is sent; it has been slept for after.
				if resp.StatusCode != c.want || took > c.after || took < c.after-2*time.Second {
					t.Errorf("%d after %v, want %d after %v", resp.StatusCode, took, c.want, c.after)
				}
				_ = ours.Close()
				close(listener)
				_ = server.Close()
				<-served
				time.Sleep(2 * time.Hour) // by when the sender is done
			})
		})
	}
}

// TestAnswersHaveAMinimumRate takes a long answer at different rates: a client that takes some of it, and then stops,
// is given no time for what it has taken.
func TestAnswersHaveAMinimumRate(t *testing.T) {
	const whole = 8 << 20
	for name, c := range map[string]struct {
		piece int           // bytes
		every time.Duration // a piece
		most  int           // bytes that the client takes
		ended bool          // by the server
		after time.Duration
	}{
		"64 KiB a second":    {64 << 10, time.Second, whole, false, 128 * time.Second},
		"all at once":        {whole, time.Second, whole, false, 0},
		"nothing":            {1, time.Hour, 0, true, 21 * time.Second},
		"1 MiB, and nothing": {1 << 20, time.Second, 1 << 20, true, 22 * time.Second},
		"a tenth of it":      {6 << 10, time.Second, whole, true, 22 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failed error
				var took time.Duration
				answered := make(chan struct{})
				server := &http.Server{Handler: minrate.HTTP(20 * time.Second)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					defer close(answered)
					begin := time.Now()
					_, failed = w.Write(make([]byte, whole))
					took = time.Since(begin)
				}))}
				listener, served := make(pipes, 1), make(chan struct{})
				go func() {
					defer close(served)
					_ = server.Serve(listener)
				}()
				ours, theirs := net.Pipe()
				listener <- theirs
				if _, err := io.WriteString(ours, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				go func() {
					for taken := 0; taken < c.most; taken += c.piece {
						if _, err := io.CopyN(io.Discard, ours, int64(c.piece)); err != nil {
							return
						}
						time.Sleep(c.every)
					}
					if c.most == whole {
						_, _ = io.Copy(io.Discard, ours) // the headers made it longer
					}
				}()
				<-answered
				if (failed != nil) != c.ended || took < c.after-2*time.Second || took > c.after+3*time.Second {
					t.Errorf("ended by the server: %v (%v) after %v, want %v after %v", failed != nil, failed, took, c.ended, c.after)
				}
				_ = ours.Close()
				close(listener)
				_ = server.Close()
				<-served
				time.Sleep(2 * time.Hour) // by when the client is done
			})
		})
	}
}

// TestLateCallsAreEnded ends a call over gRPC whose message does not come, and no other.
func TestLateCallsAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := minrate.Calls(time.Minute)
		for name, c := range map[string]struct {
			comes time.Duration // after which the message does; 0 is never
			ends  bool
		}{"in time": {59 * time.Second, false}, "never": {0, true}} {
			ctx, cancel := context.WithCancel(t.Context())
			call, err := l.Tap(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.comes > 0 {
				time.AfterFunc(c.comes, func() { _, _ = l.Unary(call, nil, nil, func(context.Context, any) (any, error) { return nil, nil }) })
			}
			start := time.Now()
			select {
			case <-call.Done():
				if !c.ends || time.Since(start) != time.Minute {
					t.Errorf("%s: ended after %v", name, time.Since(start))
				}
			case <-time.After(time.Hour):
				if c.ends {
					t.Errorf("%s: it goes on", name)
				}
			}
			cancel()
		}
	})
}
