package serve

// Requests that are answered before they are read to their end.

import (
	"io"
	"net/http"
	"time"
)

// lingering answers at once, and then takes what is still sent of the request and throws it
// away, as long as patience lasts. A connection that is closed on it would be reset: a client
// that sends everything before it reads an answer would never learn why it is refused.
func lingering(patience time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.ProtoMajor != 1 || req.Body == http.NoBody {
				next.ServeHTTP(w, req) // HTTP/2 ends one request without its connection
				return
			}
			body := &followed{ReadCloser: req.Body}
			req.Body = body
			next.ServeHTTP(w, req)
			if body.ended || !body.begun && req.Header.Get("Expect") != "" { // then nothing is sent
				return
			}
			c := http.NewResponseController(w)
			if c.Flush() == nil && c.SetReadDeadline(time.Now().Add(patience)) == nil {
				_, _ = io.Copy(io.Discard, body.ReadCloser)
			}
		})
	}
}

// followed is a body of which it is known whether it was read, and to its end.
type followed struct {
	io.ReadCloser
	begun, ended bool
}

func (f *followed) Read(b []byte) (int, error) {
	n, err := f.ReadCloser.Read(b)
	f.begun, f.ended = true, f.ended || err != nil
	return n, err
}
