package serve

// Slow clients: what one may take for a request, and how many there may be.

import (
	"io"
	"net/http"
	"time"
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
			p := &exchange{ResponseWriter: w, body: req.Body, patience: patience}
			p.deadlines, _ = w.(deadlines)
			if p.deadlines == nil { // not a connection: a test's recorder
				next.ServeHTTP(w, req)
				return
			}
			if req.Header["Expect"] != nil {
				_ = p.SetWriteDeadline(time.Time{}) // that of the answer before, for the "100 Continue"
			}
			if req.Body != nil && req.Body != http.NoBody {
				p.start = time.Now()
				p.next = slowest
				_ = p.SetReadDeadline(p.start.Add(patience))
				req.Body = p
			}
			next.ServeHTTP(p, req)
		})
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
	read, next int64 // bytes read, and how many move the deadline again
}

func (e *exchange) Read(b []byte) (int, error) {
	n, err := e.body.Read(b)
	if e.read += int64(n); err == io.EOF {
		// Else it would end the request's context while the server works.
		_ = e.SetReadDeadline(time.Time{})
	} else if e.read >= e.next {
		e.next = e.read + slowest
		_ = e.SetReadDeadline(e.start.Add(e.allowed(e.read)))
	}
	return n, err
}

func (e *exchange) Close() error { return e.body.Close() }

func (e *exchange) WriteHeader(status int) {
	_ = e.SetWriteDeadline(time.Now().Add(e.patience))
	e.ResponseWriter.WriteHeader(status)
}

func (e *exchange) Write(b []byte) (int, error) {
	_ = e.SetWriteDeadline(time.Now().Add(e.allowed(int64(len(b)))))
	return e.ResponseWriter.Write(b)
}

func (e *exchange) allowed(n int64) time.Duration {
	return e.patience + time.Duration(n)*(time.Second/slowest)
}

// Unwrap is for http.ResponseController.
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }
