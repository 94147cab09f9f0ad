package serve

// Packed bodies: requests in gzip or deflate, answers in what the client asks for of the two.

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

// worthPacking is the length in bytes from which answers are packed: shorter ones fit one
// packet as they are.
const worthPacking = 1400

// packed unpacks requests and packs answers. limit bounds a body once it is unpacked.
func packed(limit int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if coding := strings.ToLower(req.Header.Get("Content-Encoding")); coding != "" && coding != "identity" {
				open := unpackers[coding]
				if open == nil {
					w.Header().Set("Accept-Encoding", "gzip, deflate")
					reply.Error(w, http.StatusUnsupportedMediaType,
						fmt.Errorf("header Content-Encoding is %q; this server takes gzip and deflate", coding))
					return
				}
				req.Body = http.MaxBytesReader(w, &unpacked{ReadCloser: req.Body, open: open}, limit)
				req.ContentLength = -1
				req.Header.Del("Content-Encoding")
			}
			w.Header().Add("Vary", "Accept-Encoding")
			coding := accepted(req.Header.Get("Accept-Encoding"))
			if coding == "" || !mayBePacked(req.URL.Path) {
				next.ServeHTTP(w, req)
				return
			}
			p := &packer{ResponseWriter: w, coding: coding}
			next.ServeHTTP(p, req)
			p.close()
		})
	}
}

// unpackers read each coding.
var unpackers = map[string]func(io.Reader) (io.Reader, error){
	"gzip": gunzip, "x-gzip": gunzip,
	"deflate": func(body io.Reader) (io.Reader, error) { // which is zlib's format, by the standard
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

// unpacked is a packed body, unpacked as it is read: until then it takes no memory, which is for
// the model's queue to refuse.
type unpacked struct {
	io.ReadCloser
	open func(io.Reader) (io.Reader, error)
	r    io.Reader
	err  error
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.r == nil && u.err == nil {
		u.r, u.err = u.open(u.ReadCloser)
	}
	if u.err != nil {
		return 0, u.err
	}
	return u.r.Read(p)
}

// mayBePacked is false for what Triton does not pack, either: its asyncio client asks for packed
// answers always, and unpacks those of infer alone, and no errors.
func mayBePacked(path string) bool {
	return !strings.HasPrefix(path, "/v2/") || strings.HasSuffix(path, "/infer")
}

// accepted returns the coding to answer in: gzip where the client takes it, else deflate, else "".
func accepted(accept string) string {
	best := ""
	for coding := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		name = strings.TrimSpace(name)
		if packers[name] == nil || best == "gzip" {
			continue
		}
		q, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		if x, err := strconv.ParseFloat(q, 64); !found || err != nil || x > 0 {
			best = name
		}
	}
	return best
}

// resetWriter is a writer that packs, for one answer after another.
type resetWriter interface {
	io.WriteCloser
	Reset(w io.Writer)
}

var packers = map[string]*sync.Pool{
	"gzip": {New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
		return w
	}},
	"deflate": {New: func() any {
		w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed)
		return w
	}},
}

// packer packs an answer of which it is known, before its first byte, that it is long.
type packer struct {
	http.ResponseWriter
	coding string
	status int
	packed resetWriter // nil where the answer is not packed
	long   bool        // whatever its length will be
}

// Long says that the answer is long, before its length is known.
func (p *packer) Long() { p.long = true }

func (p *packer) WriteHeader(status int) {
	if p.status != 0 {
		return
	}
	p.status = status
	h := p.Header()
	length, err := strconv.Atoi(h.Get("Content-Length"))
	if status == http.StatusOK && (p.long || err == nil && length >= worthPacking) && h.Get("Content-Encoding") == "" {
		h.Set("Content-Encoding", p.coding)
		h.Del("Content-Length")
		p.packed = packers[p.coding].Get().(resetWriter)
		p.packed.Reset(p.ResponseWriter)
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *packer) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.packed != nil {
		return p.packed.Write(b)
	}
	return p.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (p *packer) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *packer) close() {
	if p.packed != nil {
		_ = p.packed.Close() // a client that has gone needs no answer
		packers[p.coding].Put(p.packed)
	}
}
