package connection

// HTTP requests and the connections that they arrive on.

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/serve/internal/shed"
)

type key struct{}

// Context is for http.Server.ConnContext. Requests find their connection through it.
func Context(ctx context.Context, c net.Conn) context.Context {
	if under, ok := c.(interface{ NetConn() net.Conn }); ok { // of TLS
		c = under.NetConn()
	}
	if conn, ok := c.(*Conn); ok {
		return context.WithValue(ctx, key{}, conn)
	}
	return ctx
}

// OfRequest returns the connection that a request arrived on, or nil if it is unknown.
func OfRequest(req *http.Request) *Conn {
	conn, _ := req.Context().Value(key{}).(*Conn)
	return conn
}

// longestHost bounds the name that a connection remembers, in bytes.
const longestHost = 255

// Accept remembers the Host header of a request that was accepted, for Accepted.
func (c *Conn) Accept(host string) {
	if c != nil && len(host) <= longestHost {
		c.host.Store(&host)
	}
}

// Accepted reports whether Accept was last called with the same header.
func (c *Conn) Accepted(host string) bool {
	if c == nil {
		return false
	}
	accepted := c.host.Load()
	return accepted != nil && *accepted == host
}

// streamBytes is the memory of a request that shares its connection with others, before it is read.
const streamBytes = 8 << 10

// Request is a request on its connection. The zero value has no known connection.
type Request struct {
	conn  *Conn
	bytes int64
}

// Begin says that a request's headers have arrived. It fails if there is no memory for them.
func Begin(req *http.Request) (Request, error) {
	conn := OfRequest(req)
	if conn == nil {
		return Request{}, nil
	}
	bytes := int64(0)
	if req.ProtoMajor != 1 || conn.came.Load() > headers { // HTTP/2 compresses headers
		for name, values := range req.Header {
			for _, v := range values {
				bytes += int64(len(name) + len(v))
			}
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

// Counted returns a body that is read into memory without asking. What has arrived of it counts until the
// request ends.
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

// Turn says who acts in a request: the client, which sends or reads, or the server. The zero value does
// nothing.
type Turn struct {
	conn *Conn
	busy atomic.Bool
}

// Of attaches the turn to a request. The client acts first.
func (t *Turn) Of(req *http.Request) { t.conn = OfRequest(req) }

// Server says that the request has arrived in full.
func (t *Turn) Server() {
	if t.conn != nil && t.busy.CompareAndSwap(false, true) {
		t.conn.work()
	}
}

// Client says that the answer begins, or that the request is over, now.
func (t *Turn) Client(now time.Time) {
	if t.conn != nil && t.busy.CompareAndSwap(true, false) {
		t.conn.rest(now)
	}
}

// Over is Client for a request that is over.
func (t *Turn) Over() {
	if t.conn != nil && t.busy.Load() {
		t.Client(time.Now())
	}
}
