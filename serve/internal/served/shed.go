package served

// Clients that send or read slowly while others need memory.

import (
	"net/http"
	"time"

	"github.com/forgo-ml/forgo/serve/internal/shed"
)

// Reading says that bytes of the request's body have arrived, and that more will.
func (r *Request) Reading(bytes int64) {
	r.came.Store(bytes)
	if r.client == nil && r.writer != nil {
		w := r.writer
		r.client = shed.Begin(r.came.Load, func() {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // its read fails now
		})
	}
}

// Read says that the body has arrived in full, or that the answer is written.
func (r *Request) Read() {
	if r.client != nil {
		r.client.End()
		r.client = nil
	}
}

// writing says that the answer is being written from now on.
func (r *Request) writing() {
	w := r.writer
	if w == nil || r.place.Bytes() < shed.Worthwhile {
		return
	}
	r.client = shed.Begin(written(w), func() {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now())
	})
}

// written returns a function for the number of bytes of an answer that were read, safe for concurrent use.
func written(w http.ResponseWriter) func() int64 {
	for {
		if c, ok := w.(interface{ Written() int64 }); ok {
			return c.Written
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return func() int64 { return 0 }
		}
		w = u.Unwrap()
	}
}

// within retries take as long as slow clients can make room.
func (r *Request) within(take func() error) error { return shed.Within(r.client, take) }
