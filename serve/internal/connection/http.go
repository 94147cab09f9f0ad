package connection

// Requests over HTTP, on the connections that they come on.

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/forgo-ml/forgo/serve/internal/shed"
)

type key struct{}

// Context is for http.Server.ConnContext: requests know their connection by it.
func Context(ctx context.Context, c net.Conn) context.Context {
	if under, ok := c.(interface{ NetConn() net.Conn }); ok { // of TLS
		c = under.NetConn()
	}
	if conn, ok := c.(*Conn); ok {
		return context.WithValue(ctx, key{}, conn)
	}
	return ctx
}

// streamBytes is what a request takes that shares its connection with others, before anything of it
// is read.
const streamBytes = 8 << 10

// Request is one on its connection. Its zero value is one whose connection is not known.
type Request struct {
	conn  *Conn
	bytes int64
}

// Begin says that a request has come, up to its body. The error means that there is no memory for its
// headers.
func Begin(req *http.Request) (Request, error) {
	conn, _ := req.Context().Value(key{}).(*Conn)
	if conn == nil {
		return Request{}, nil
	}
	bytes := int64(0)
	for name, values := range req.Header {
		for _, v := range values {
			bytes += int64(len(name) + len(v))
		}
	}
	if bytes <= headers {
		bytes = 0
	}
	if req.ProtoMajor == 2 {
		bytes += streamBytes
	}
	if budget := conn.of.table.budget; bytes > 0 {
		if err := shed.Within(nil, func() error { return budget.Take(bytes) }); err != nil {
			return Request{}, err
		}
	}
	conn.begin()
	return Request{conn, bytes}, nil
}

// End says that the request is over.
func (r *Request) End() {
	if r.conn != nil {
		r.conn.of.table.budget.Give(r.bytes)
		r.conn.end()
	}
}

// Counted is a body that is read into memory before anybody is asked: what has come of it counts
// until the request ends.
func (r *Request) Counted(body io.ReadCloser) io.ReadCloser {
	if r.conn == nil {
		return body
	}
	return &counted{ReadCloser: body, request: r}
}

type counted struct {
	io.ReadCloser
	request *Request
	free    int64 // bytes that are taken and have not come
}

const countedStep = 64 << 10

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.free -= int64(n); c.free < 0 {
		r := c.request
		budget := r.conn.of.table.budget
		if err := shed.Within(nil, func() error { return budget.More(r.bytes, countedStep) }); err != nil {
			return 0, err
		}
		r.bytes += countedStep
		c.free += countedStep
	}
	return n, err
}

// Turn says whose turn a request is: the client's, who sends or takes an answer, or the server's. Its
// zero value does nothing.
type Turn struct {
	conn *Conn
	busy atomic.Bool
}

// Of makes it a request's turn. It is the client's.
func (t *Turn) Of(req *http.Request) { t.conn, _ = req.Context().Value(key{}).(*Conn) }

// Server says that nothing more of the request is to come.
func (t *Turn) Server() {
	if t.conn != nil && t.busy.CompareAndSwap(false, true) {
		t.conn.work()
	}
}

// Client says that the answer begins, or that the request is over.
func (t *Turn) Client() {
	if t.conn != nil && t.busy.CompareAndSwap(true, false) {
		t.conn.rest()
	}
}
