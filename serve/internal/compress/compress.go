// Package compress decompresses request bodies in gzip and deflate, and compresses answers with the one
// that the client accepts.
package compress

import (
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// minCompress is the length from which answers are compressed, in bytes. Shorter ones fit into one packet.
const minCompress = 1400

// HTTP decompresses requests and compresses answers. limit bounds a body in bytes once it is
// decompressed. may reports whether the answer at a path may be compressed.
func HTTP(limit int64, may func(path string) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if coding := strings.ToLower(served.Header(req.Header, "Content-Encoding")); coding != "" && coding != "identity" {
				open := readers[coding]
				if open == nil {
					w.Header().Set("Accept-Encoding", "gzip, deflate")
					reply.Error(w, http.StatusUnsupportedMediaType,
						fmt.Errorf("header Content-Encoding is %q; this server takes gzip and deflate", coding))
					return
				}
				req.Body = http.MaxBytesReader(w, &decompressed{ReadCloser: req.Body, open: open}, limit)
				req.ContentLength = -1
				req.Header.Del("Content-Encoding")
			}
			if h := w.Header(); h["Vary"] == nil {
				h["Vary"] = vary
			} else {
				h.Add("Vary", "Accept-Encoding")
			}
			coding := accepted(served.Header(req.Header, "Accept-Encoding"))
			if coding == "" || !may(req.URL.Path) {
				next.ServeHTTP(w, req)
				return
			}
			c := &compressor{ResponseWriter: w, coding: coding}
			next.ServeHTTP(c, req)
			c.close()
		})
	}
}

var vary = []string{"Accept-Encoding"}

// readers maps codings to decompressors.
var readers = map[string]func(io.Reader) (io.Reader, error){
	"gzip": gunzip, "x-gzip": gunzip,
	// By the standard, this is zlib's format.
	"deflate": func(body io.Reader) (io.Reader, error) {
		r, err := zlib.NewReader(body)
		if err != nil {
			return nil, served.BadInput("header Content-Encoding is deflate, the body is not: %w", err)
		}
		return r, nil
	},
}

func gunzip(body io.Reader) (io.Reader, error) {
	r, err := gzip.NewReader(body)
	if err != nil {
		return nil, served.BadInput("header Content-Encoding is gzip, the body is not: %w", err)
	}
	return r, nil
}

// decompressed decompresses a body as it is read. Until then it takes no memory, so that the model's queue
// can refuse the request first.
type decompressed struct {
	io.ReadCloser
	open func(io.Reader) (io.Reader, error)
	r    io.Reader
	err  error
}

func (u *decompressed) Read(p []byte) (int, error) {
	if u.r == nil && u.err == nil {
		u.r, u.err = u.open(u.ReadCloser)
	}
	if u.err != nil {
		return 0, u.err
	}
	return u.r.Read(p)
}

// accepted returns the coding for the answer: gzip if the client accepts it, else deflate if it accepts
// that, else "".
func accepted(accept string) string {
	if accept == "" {
		return ""
	}
	best := ""
	for coding := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		name = strings.TrimSpace(name)
		if writers[name] == nil || best == "gzip" {
			continue
		}
		q, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		if x, err := strconv.ParseFloat(q, 64); !found || err != nil || x > 0 {
			best = name
		}
	}
	return best
}

// resetWriter is a compressor that can be reused.
type resetWriter interface {
	io.WriteCloser
	Reset(w io.Writer)
}

var writers = map[string]*sync.Pool{
	"gzip": {New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
		return w
	}},
	"deflate": {New: func() any {
		w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed)
		return w
	}},
}

// compressor compresses answers with a Content-Length of at least minCompress, and those that call Long.
type compressor struct {
	http.ResponseWriter
	coding string
	status int
	writer resetWriter // nil: the answer is not compressed
	long   bool
}

// Long says that the answer is long, before its length is known.
func (c *compressor) Long() { c.long = true }

func (c *compressor) WriteHeader(status int) {
	if c.status != 0 {
		return
	}
	c.status = status
	h := c.Header()
	length, err := strconv.Atoi(h.Get("Content-Length"))
	if status == http.StatusOK && (c.long || err == nil && length >= minCompress) && h.Get("Content-Encoding") == "" {
		h.Set("Content-Encoding", c.coding)
		h.Del("Content-Length")
		c.writer = writers[c.coding].Get().(resetWriter)
		c.writer.Reset(c.ResponseWriter)
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *compressor) Write(b []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	if c.writer != nil {
		return c.writer.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap supports http.ResponseController.
func (c *compressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *compressor) close() {
	if c.writer != nil {
		_ = c.writer.Close() // a client that has gone needs no answer
		writers[c.coding].Put(c.writer)
	}
}
