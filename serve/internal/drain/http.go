package drain

// Requests that are answered before they are read in full.

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// HTTP counts requests, and answers them without reading them in full. Afterwards it reads and discards
// what the client still sends, for at most patience. Closing the connection at once would reset it, and a
// client that sends everything before it reads the answer would never learn why it was refused. When the
// server stops, connections end with their next answer.
func (t *Traffic) HTTP(patience time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			t.begin()
			defer t.end()
			r, err := connection.Begin(req)
			if err != nil {
				w.Header().Set("Connection", "close")
				reply.Failure(w, err)
				return
			}
			defer r.End()
			if t.stopping.Load() {
				w.Header().Set("Connection", "close")
			}
			if req.Body == http.NoBody {
				t.read.Add(1)
				next.ServeHTTP(w, req)
				t.answered.Add(1)
				return
			}
			// net/http goes by the body that it gave, so what follows gets a request of its own.
			x := exchanges.Get().(*exchange)
			x.request, x.followed = *req, followed{ReadCloser: req.Body, traffic: t}
			body := &x.followed
			x.request.Body = body
			next.ServeHTTP(w, &x.request)
			if !body.ended && req.ProtoMajor == 1 && (body.begun || req.Header.Get("Expect") == "") {
				// HTTP/2 ends one request without its connection. A client that waits to be asked for the
				// body sends nothing.
				c := http.NewResponseController(w)
				if c.Flush() == nil && c.SetReadDeadline(time.Now().Add(patience)) == nil {
					_, _ = io.Copy(io.Discard, body)
				}
			}
			if body.whole {
				t.answered.Add(1)
			}
			*x = exchange{}
			exchanges.Put(x)
		})
	}
}

// exchange is a request, and its body.
type exchange struct {
	request http.Request
	followed
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// followed is a body that records whether it was read, and whether to its end.
type followed struct {
	io.ReadCloser
	begun, ended, whole bool
	traffic             *Traffic
}

func (f *followed) Read(b []byte) (int, error) {
	if f.whole {
		return 0, io.EOF
	}
	n, err := f.ReadCloser.Read(b)
	f.begun, f.ended = true, f.ended || err != nil
	if err == io.EOF {
		f.whole = true
		f.traffic.read.Add(1)
		_ = f.ReadCloser.Close() // else net/http looks for a rest of it
	}
	return n, err
}
