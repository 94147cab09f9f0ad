package drain

// Requests that are answered before they are read in full.

import (
	"io"
	"net/http"
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
			body := &followed{ReadCloser: req.Body, traffic: t}
			req.Body = body
			next.ServeHTTP(w, req)
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
		})
	}
}

// followed is a body that records whether it was read, and whether to its end.
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
