package serve

// Packed bodies: requests in gzip or deflate, answers in gzip to clients that ask for it.

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
)

// worthPacking is the length in bytes from which answers are packed: shorter ones fit one
// packet as they are.
const worthPacking = 1400

// packed unpacks requests and packs answers. limit bounds a body once it is unpacked.
func packed(limit int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if coding := strings.ToLower(req.Header.Get("Content-Encoding")); coding != "" && coding != "identity" {
				body, err := unpack(coding, req.Body)
				if err != nil {
					reply.Error(w, http.StatusBadRequest, err)
					return
				}
				if body == nil {
					w.Header().Set("Accept-Encoding", "gzip, deflate")
					reply.Error(w, http.StatusUnsupportedMediaType,
						fmt.Errorf("header Content-Encoding is %q; this server takes gzip and deflate", coding))
					return
				}
				req.Body = http.MaxBytesReader(w, body, limit)
				req.ContentLength = -1
				req.Header.Del("Content-Encoding")
			}
			w.Header().Add("Vary", "Accept-Encoding")
			if !acceptsGzip(req.Header.Get("Accept-Encoding")) {
				next.ServeHTTP(w, req)
				return
			}
			p := &packer{ResponseWriter: w}
			next.ServeHTTP(p, req)
			p.close()
		})
	}
}

// unpack returns nil for a coding that is not known.
func unpack(coding string, body io.ReadCloser) (io.ReadCloser, error) {
	switch coding {
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("header Content-Encoding is gzip, the body is not: %w", err)
		}
		return r, nil
	case "deflate": // which is zlib's format, by the standard
		r, err := zlib.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("header Content-Encoding is deflate, the body is not: %w", err)
		}
		return r, nil
	}
	return nil, nil
}

func acceptsGzip(accept string) bool {
	for coding := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) != "gzip" {
			continue
		}
		q, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		x, err := strconv.ParseFloat(q, 64)
		return !found || err != nil || x > 0
	}
	return false
}

var gzips = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
	return w
}}

// packer packs an answer of which it is known, before its first byte, that it is long.
type packer struct {
	http.ResponseWriter
	status int
	gzip   *gzip.Writer // nil where the answer is not packed
}

func (p *packer) WriteHeader(status int) {
	if p.status != 0 {
		return
	}
	p.status = status
	h := p.Header()
	length, err := strconv.Atoi(h.Get("Content-Length"))
	if err == nil && length >= worthPacking && h.Get("Content-Encoding") == "" {
		h.Set("Content-Encoding", "gzip")
		h.Del("Content-Length")
		p.gzip = gzips.Get().(*gzip.Writer)
		p.gzip.Reset(p.ResponseWriter)
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *packer) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.gzip != nil {
		return p.gzip.Write(b)
	}
	return p.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (p *packer) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *packer) close() {
	if p.gzip != nil {
		_ = p.gzip.Close() // a client that has gone needs no answer
		gzips.Put(p.gzip)
	}
}
