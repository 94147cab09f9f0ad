// Package minrate cuts off clients that send a request or read an answer below a minimum rate. Each may
// take a fixed time, the server's patience, and one more second for each [Rate] bytes.
package minrate

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/serve/internal/connection"
)

// Rate is the minimum average rate in bytes per second, after patience is over.
const Rate = 64 << 10

// HTTP enforces the rate while clients send their body and while they read the answer. The time between,
// in which the server works, does not count.
func HTTP(patience time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if e := Begin(w, req, patience); e != nil {
				w = e
				defer e.End()
			}
			next.ServeHTTP(w, req)
		})
	}
}

// Begin enforces the rate for a request's body, and returns a writer that does so for the answer, or nil
// if w has no connection. Call End when the request is over.
func Begin(w http.ResponseWriter, req *http.Request, patience time.Duration) *Exchange {
	e := &Exchange{ResponseWriter: w, patience: patience}
	var ok bool
	if e.deadlines, ok = w.(deadlines); !ok {
		return nil
	}
	e.turn.Of(req)
	if req.Body == nil || req.Body == http.NoBody {
		e.turn.Server()
	} else {
		e.body, e.start, e.next = req.Body, time.Now(), Rate
		_ = e.SetReadDeadline(e.start.Add(patience))
		req.Body = e
	}
	return e
}

type deadlines interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Exchange is a request's body and its answer.
type Exchange struct {
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

func (e *Exchange) Read(b []byte) (int, error) {
	n, err := e.body.Read(b)
	if err != nil {
		e.turn.Server()
	}
	// After the end, the connection has no deadline: net/http waits for the client to disconnect.
	if e.read += int64(n); e.read >= e.next && err == nil {
		e.next = e.read + Rate
		// Data that arrived fast earns no extra time for the rest.
		end := e.start.Add(Allowed(e.patience, e.read))
		if latest := time.Now().Add(e.patience); end.After(latest) {
			end = latest
		}
		_ = e.SetReadDeadline(end)
	}
	return n, err
}

// End says that the request is over.
func (e *Exchange) End() { e.turn.Over() }

// Flushing returns the writer with http.Flusher, which gRPC's handler needs, if the connection's has it.
func (e *Exchange) Flushing() http.ResponseWriter {
	if f, ok := e.ResponseWriter.(http.Flusher); ok {
		return flushing{e, f}
	}
	return e.ResponseWriter
}

type flushing struct {
	*Exchange
	http.Flusher
}

func (e *Exchange) Close() error { return e.body.Close() }

func (e *Exchange) WriteHeader(status int) {
	e.wait(0)
	e.ResponseWriter.WriteHeader(status)
}

func (e *Exchange) Write(b []byte) (int, error) {
	written := 0
	for len(b) > Rate {
		e.wait(Rate)
		n, err := e.ResponseWriter.Write(b[:Rate])
		if written += n; err != nil {
			return written, err
		}
		b = b[Rate:]
	}
	e.wait(int64(len(b)))
	n, err := e.ResponseWriter.Write(b)
	return written + n, err
}

// wait extends the deadline for the next bytes, counted from the first. A client that reads a long answer
// too slowly on average is cut off, however often it reads a little.
func (e *Exchange) wait(bytes int64) {
	began := !e.answered.IsZero()
	if before := e.written.Load(); began && (bytes == 0 || before/Rate == (before+bytes)/Rate) {
		e.written.Add(bytes)
		return
	}
	now := time.Now()
	if !began {
		e.answered = now
		e.turn.Client(now)
	}
	end := e.answered.Add(Allowed(e.patience, e.written.Add(bytes)))
	if latest := now.Add(e.patience + time.Second); end.After(latest) {
		end = latest // one that has stopped taking it
	}
	_ = e.SetWriteDeadline(end)
}

// Written returns the number of bytes of the answer that the client has read or is about to.
func (e *Exchange) Written() int64 { return e.written.Load() }

// Allowed returns how long a client may take for n bytes.
func Allowed(patience time.Duration, n int64) time.Duration {
	return patience + time.Duration(n)*(time.Second/Rate)
}

// Unwrap supports http.ResponseController.
func (e *Exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }
