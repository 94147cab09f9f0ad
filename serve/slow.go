package serve

// Slow clients: what one may take for a request, and how many there may be.

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"

	"github.com/forgo-ml/forgo/serve/internal/connection"
)

// What a connection may hold and how it is kept, over HTTP and gRPC alike.
const (
	maxHeaders = 64 << 10         // bytes of a request's headers
	maxStreams = 250              // requests at once on one HTTP/2 connection
	idle       = 2 * time.Minute  // after which a connection without requests is closed
	pingAfter  = time.Minute      // of silence, whereupon the client must answer a ping
	pingsApart = 10 * time.Second // for gRPC clients that ping more often
)

// slowest is the bytes a second that a client must send and take on the whole, once its time is up.
const slowest = 64 << 10

// paced gives each client patience for its body and for taking its answer, and a second more
// for each slowest bytes of them. The time between the two, in which the server works, is its own.
func paced(patience time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if e := pace(w, req, patience); e != nil {
				w = e
				defer e.turn.Client()
			}
			next.ServeHTTP(w, req)
		})
	}
}

// pace does it for the body, and returns what does it for the answer; nil where w is no
// connection's.
func pace(w http.ResponseWriter, req *http.Request, patience time.Duration) *exchange {
	e := &exchange{ResponseWriter: w, patience: patience}
	var ok bool
	if e.deadlines, ok = w.(deadlines); !ok {
		return nil
	}
	e.turn.Of(req)
	if req.Body == nil || req.Body == http.NoBody {
		e.turn.Server()
	} else {
		e.body, e.start, e.next = req.Body, time.Now(), slowest
		_ = e.SetReadDeadline(e.start.Add(patience))
		req.Body = e
	}
	return e
}

// late ends gRPC calls whose message does not come in time.
type late time.Duration

// late has no measure of how much has come: it gives the time that the longest message has.
func (s *Server) late() late { return late(allowed(s.options.ClientTimeout, s.options.MaxBody)) }

// lateTimer is in the contexts of calls whose message has not come.
type lateTimer struct{}

// tap begins a call. When it is over the context of its stream ends, and this one with it. One
// whose own deadline comes sooner needs no other.
func (l late) tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= time.Duration(l) {
		return ctx, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, lateTimer{}, time.AfterFunc(time.Duration(l), cancel)), nil
}

func (l late) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	l.came(ctx)
	return next(ctx, req)
}

// stream is for calls that go on as long as the client likes: health and reflection.
func (l late) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	l.came(stream.Context())
	return next(srv, stream)
}

func (late) came(ctx context.Context) {
	if t, ok := ctx.Value(lateTimer{}).(*time.Timer); ok {
		t.Stop()
	}
}

type deadlines interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// exchange is a request's body and its answer.
type exchange struct {
	http.ResponseWriter
	deadlines
	body       io.ReadCloser
	patience   time.Duration
	start      time.Time
	read, next int64        // bytes read, and how many move the deadline again
	answered   time.Time    // when the answer began
	written    atomic.Int64 // bytes of it
	turn       connection.Turn
}

func (e *exchange) Read(b []byte) (int, error) {
	n, err := e.body.Read(b)
	if err != nil {
		e.turn.Server()
	}
	// After the end the connection has no deadline: net/http waits for the client to go away.
	if e.read += int64(n); e.read >= e.next && err == nil {
		e.next = e.read + slowest
		// What has come fast is no reason to wait long for the rest.
		end := e.start.Add(allowed(e.patience, e.read))
		if latest := time.Now().Add(e.patience); end.After(latest) {
			end = latest
		}
		_ = e.SetReadDeadline(end)
	}
	return n, err
}

func (e *exchange) Close() error { return e.body.Close() }

func (e *exchange) WriteHeader(status int) {
	e.wait(0)
	e.ResponseWriter.WriteHeader(status)
}

func (e *exchange) Write(b []byte) (int, error) {
	written := 0
	for len(b) > slowest {
		e.wait(slowest)
		n, err := e.ResponseWriter.Write(b[:slowest])
		if written += n; err != nil {
			return written, err
		}
		b = b[slowest:]
	}
	e.wait(int64(len(b)))
	n, err := e.ResponseWriter.Write(b)
	return written + n, err
}

// wait gives the client time for so many more bytes, counted from the first: one that takes a
// long answer too slowly on the whole is not waited for, however often it takes a little.
func (e *exchange) wait(bytes int64) {
	if e.answered.IsZero() {
		e.answered = time.Now()
		e.turn.Client()
	} else if before := e.written.Load(); bytes == 0 || before/slowest == (before+bytes)/slowest {
		e.written.Add(bytes)
		return
	}
	end := e.answered.Add(allowed(e.patience, e.written.Add(bytes)))
	if latest := time.Now().Add(e.patience + time.Second); end.After(latest) {
		end = latest // one that has stopped taking it
	}
	_ = e.SetWriteDeadline(end)
}

// Written is how many bytes of the answer were taken or are about to be.
func (e *exchange) Written() int64 { return e.written.Load() }

// allowed is what a client may take for n bytes.
func allowed(patience time.Duration, n int64) time.Duration {
	return patience + time.Duration(n)*(time.Second/slowest)
}

// Unwrap is for http.ResponseController.
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }
