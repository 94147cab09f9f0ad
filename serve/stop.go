package serve

// How a server stops: every request whose last byte it has read is answered, and no connection
// is cut that a request may be on its way over.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/serve/internal/connection"
)

// quiet is how long the connections that clients keep open must have carried nothing before
// they are closed. A client that was told to close its connection, and one that is about to
// send its next request, are done by then.
const quiet = time.Second

// traffic counts the requests of some listeners.
type traffic struct {
	stopping       atomic.Bool
	under          atomic.Int64 // requests under way
	last           atomic.Int64 // when the last one ended, in Unix nanoseconds
	connections    atomic.Int64 // over HTTP
	read, answered atomic.Int64 // requests
}

func (t *traffic) begin() { t.under.Add(1) }

func (t *traffic) end() {
	if t.stopping.Load() {
		t.last.Store(time.Now().UnixNano())
	}
	t.under.Add(-1)
}

// settle returns when nothing was under way for as long as quiet, or nobody is connected.
func (t *traffic) settle(ctx context.Context, connected func() bool) {
	t.last.Store(time.Now().UnixNano())
	tick := time.NewTicker(quiet / 100)
	defer tick.Stop()
	for connected() && (t.under.Load() > 0 || time.Since(time.Unix(0, t.last.Load())) < quiet) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (t *traffic) connection(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		t.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		t.connections.Add(-1)
	}
}

// unary counts calls over gRPC, whose requests are read by then.
func (t *traffic) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	t.begin()
	defer t.end()
	t.read.Add(1)
	defer t.answered.Add(1)
	defer connection.Of(ctx).Busy()()
	return next(ctx, req)
}

// shutdown answers what comes over HTTP connections that are open, each with the word that it is
// the connection's last, and then closes them. When ctx ends it cuts those that are left.
func (t *traffic) shutdown(server *http.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		t.settle(ctx, func() bool { return t.connections.Load() > 0 })
		err := server.Shutdown(ctx)
		if err != nil {
			_ = server.Close()
		}
		return err
	}
}

// gracefulStop waits for calls, and not for streams: those that watch a server's health end with it.
// When ctx ends it waits for nothing: a handler whose run does not end would never return.
func (t *traffic) gracefulStop(server *grpc.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.GracefulStop()
		}()
		t.settle(ctx, func() bool {
			select {
			case <-done:
				return false
			default:
				return true
			}
		})
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			server.Stop()
			<-done
		}()
		select {
		case <-stopped:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
}

// stop lets the requests under way finish: first those of clients, then those of operators, who
// see until then that the server is not ready. It takes no longer than delay and Options.Drain.
func (s *Server) stop(listeners []listener, delay time.Duration) error {
	s.Drain()
	time.Sleep(delay)
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Drain)
	defer cancel()
	var errs []error
	for _, admin := range []bool{false, true} {
		var group sync.WaitGroup
		var mu sync.Mutex
		for _, l := range listeners {
			if (l.kind == "admin") != admin {
				continue
			}
			group.Go(func() {
				l.end()
				select {
				case <-l.ended:
				case <-time.After(quiet): // there are as many connections as there may be
				case <-ctx.Done():
				}
				err := l.stop(ctx)
				select {
				case <-l.ended:
				case <-ctx.Done():
				}
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("stop %s: requests were still under way after %s: %w", l.kind, s.options.Drain, err))
				}
			})
		}
		group.Wait()
	}
	s.options.Log.Info("stopped", "read", s.clients.read.Load(), "answered", s.clients.answered.Load())
	return errors.Join(errs...)
}

// gentle is a listener that ends without a reset for those whose connections it has not yet
// accepted.
type gentle struct {
	net.Listener
	ending atomic.Bool
	last   bool // used by Accept alone
}

// backlog is how long a listener that ends waits for one more of the connections that were made
// before.
const backlog = 20 * time.Millisecond

type deadliner interface{ SetDeadline(time.Time) error }

// Accept is called by one goroutine, after whose error the listener is closed.
func (g *gentle) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err == nil {
			g.last = false
			return c, nil
		}
		if !g.ending.Load() {
			return nil, err
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !g.last {
			g.last = true
			_ = g.Listener.(deadliner).SetDeadline(time.Now().Add(backlog))
			continue
		}
		_ = g.Close()
		return nil, net.ErrClosed
	}
}

// end makes Accept fail once it has returned the connections that were made before.
func (g *gentle) end() {
	g.ending.Store(true)
	if l, ok := g.Listener.(*net.UnixListener); ok {
		_ = os.Remove(l.Addr().String())
		l.SetUnlinkOnClose(false)
	} else {
		refuse(g.Listener)
	}
	_ = g.Listener.(deadliner).SetDeadline(time.Now().Add(backlog))
}
