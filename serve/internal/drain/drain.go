// Package drain answers what a server has read before it stops. It answers every request whose last byte
// has been read, and closes no connection that may carry a request on its way.
package drain

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/serve/internal/connection"
)

// Quiet is how long open connections must be quiet before they are closed. By then a client that was told
// to close its connection, or is about to send its next request, has done so.
const Quiet = time.Second

// Traffic counts the requests of some listeners. The zero value is ready to use. It must not be copied.
type Traffic struct {
	stopping       atomic.Bool
	under          atomic.Int64 // requests under way
	last           atomic.Int64 // when the last one ended, in Unix nanoseconds
	connections    atomic.Int64 // over HTTP
	read, answered atomic.Int64 // requests
}

// Stop makes HTTP connections end with their next answer.
func (t *Traffic) Stop() { t.stopping.Store(true) }

// Requests returns how many requests were read in full, and how many of these were answered.
func (t *Traffic) Requests() (read, answered int64) { return t.read.Load(), t.answered.Load() }

func (t *Traffic) begin() { t.under.Add(1) }

func (t *Traffic) end() {
	if t.stopping.Load() {
		t.last.Store(time.Now().UnixNano())
	}
	t.under.Add(-1)
}

// settle waits until nothing has been under way for Quiet, or nobody is connected.
func (t *Traffic) settle(ctx context.Context, connected func() bool) {
	t.last.Store(time.Now().UnixNano())
	tick := time.NewTicker(Quiet / 100)
	defer tick.Stop()
	for connected() && (t.under.Load() > 0 || time.Since(time.Unix(0, t.last.Load())) < Quiet) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Connection is for http.Server.ConnState.
func (t *Traffic) Connection(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		t.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		t.connections.Add(-1)
	}
}

// Unary is a unary interceptor. It counts calls, whose requests are read by then.
func (t *Traffic) Unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	t.begin()
	defer t.end()
	t.read.Add(1)
	defer t.answered.Add(1)
	defer connection.Of(ctx).Busy()()
	return next(ctx, req)
}

// Shutdown returns a function that stops an HTTP server. It answers requests on open connections, each
// answer as the connection's last, and then closes them. When its context ends, it closes the rest.
func (t *Traffic) Shutdown(server *http.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		t.settle(ctx, func() bool { return t.connections.Load() > 0 })
		err := server.Shutdown(ctx)
		if err != nil {
			_ = server.Close()
		}
		return err
	}
}

// GracefulStop returns a function that stops a gRPC server. It waits for calls, but not for streams, since
// a client that watches the server's health never ends its own. When its context ends, it stops waiting,
// since a handler whose run does not end would never return.
func (t *Traffic) GracefulStop(server *grpc.Server) func(context.Context) error {
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
