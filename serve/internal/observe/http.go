package observe

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// exchange is a request over HTTP, attached to the writer of its answer so that handlers find it without a
// context. It is reused.
type exchange struct {
	http.ResponseWriter
	Request
	body body
}

// Unwrap supports http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// body measures how long its reader waits.
type body struct {
	io.ReadCloser
	waited *time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	start := time.Now()
	n, err := b.ReadCloser.Read(p)
	*b.waited += time.Since(start)
	return n, err
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// HTTP observes requests.
func (o *Observer) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		x := exchanges.Get().(*exchange)
		x.ResponseWriter = w
		x.body = body{req.Body, &x.received}
		req.Body = &x.body
		x.Protocol = o.ofPath(req.URL.Path)
		var chosen string
		values := req.Header[idHeader]
		if len(values) > 0 {
			chosen = values[0]
		}
		ctx := req.Context()
		o.begin(ctx, &x.Request, chosen)
		if x.id != "" {
			x.showID()
		}
		next.ServeHTTP(x, req)
		o.end(ctx, &x.Request, req.Method, req.URL.Path)
		req.Body = x.body.ReadCloser
		*x = exchange{}
		exchanges.Put(x)
	})
}

func (x *exchange) showID() { x.Header()[idHeader] = []string{x.id} }

// Of returns the request that a writer answers, or a new one if there is no observer.
func Of(w http.ResponseWriter) *Request {
	if x := exchangeOf(w); x != nil {
		return &x.Request
	}
	return new(Request)
}

func exchangeOf(w http.ResponseWriter) *exchange {
	for {
		if x, ok := w.(*exchange); ok {
			return x
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
}

// Route records the pattern of the path that the answered request takes.
func Route(w http.ResponseWriter, pattern string) {
	if x := exchangeOf(w); x != nil {
		x.route = pattern
	}
}

// Failed records the error that a request is about to be answered with. It adds the request's id to the
// answer, by which the log line can be found.
func Failed(w http.ResponseWriter, status int, err error) {
	x := exchangeOf(w)
	if x == nil {
		return
	}
	x.ID()
	x.showID()
	x.fail(ofStatus(status), fmt.Sprint(status), err)
}
