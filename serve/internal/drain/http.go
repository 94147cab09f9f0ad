package drain

// Requests that are answered before they are read to their end.

import (
	"io"
	"net/http"
	"time"

	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// HTTP counts requests and answers them at once. It then reads what the client still sends, and
// discards it, for as long as patience. Closing the connection instead would reset it: a client that
// sends everything before it reads the answer would never learn why it is refused.
// When the server stops, connections end with their next answer.
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
			body := &followed{ReadCloser: req.Body, traffic: t}
			req.Body = body
			next.ServeHTTP(w, req)
			if !body.ended && req.ProtoMajor == 1 && (body.begun || req.Header.Get("Expect") == "") {
				// HTTP/2 ends one request without its connection, and where the client waits to be
				// asked for the body nothing is sent.
				c := http.NewResponseController(w)
				if c.Flush() == nil && c.SetReadDeadline(time.Now().Add(patience)) == nil {
					_, _ = io.Copy(io.Discard, body)
				}
			}
			if body.whole {
				t.answered.Add(1)
			}
		})
	}
}

// followed is a body that notes whether it was read, and whether to its end.
type followed struct {
	io.ReadCloser
	begun, ended, whole bool
	traffic             *Traffic
}

func (f *followed) Read(b []byte) (int, error) {
	n, err := f.ReadCloser.Read(b)
	f.begun, f.ended = true, f.ended || err != nil
	if err == io.EOF && !f.whole {
		f.whole = true
		f.traffic.read.Add(1)
	}
	return n, err
}
