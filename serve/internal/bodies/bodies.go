// Package bodies reads the bodies of HTTP requests. It reserves memory before it reads, and limits their
// length.
package bodies

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// maxKept bounds the buffers that are kept for later requests.
const maxKept = 256 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Buffer returns an empty buffer, for Free.
func Buffer() *bytes.Buffer {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

// Free returns a buffer for reuse. The caller must not use its bytes afterwards.
func Free(b *bytes.Buffer) {
	if b.Cap() <= maxKept {
		buffers.Put(b)
	}
}

// Read reads a request's body into a reused buffer. Nothing may use its bytes after free. Before Read
// allocates more than a small body takes, it reserves the bytes in memory; free returns them. An error is
// the client's, or comes from memory.
func Read(req *http.Request, memory payload.Memory) (body []byte, free func(), err error) {
	b := Buffer()
	b.Grow(capacity(req.ContentLength))
	body, taken, err := readAll(b.AvailableBuffer(), req.Body, req.ContentLength, memory)
	if err != nil {
		Free(b)
		return nil, nil, err
	}
	*b = *bytes.NewBuffer(body) // keeps the grown memory for the next body
	return body, func() {
		Free(b)
		if taken > 0 {
			_ = memory.Grow(-taken) // returning memory never fails
		}
	}, nil
}

// Head is like Read for at most the first n bytes of a request's body.
func Head(req *http.Request, n int64, memory payload.Memory) (head []byte, free func(), err error) {
	rest, length := req.Body, req.ContentLength
	req.Body, req.ContentLength = io.NopCloser(io.LimitReader(rest, n)), n
	head, free, err = Read(req, memory)
	req.Body, req.ContentLength = rest, length
	if length > 0 {
		req.ContentLength = max(0, length-n) // of the rest
	}
	return head, free, err
}

// Own reads a request's body into memory that tensors may share. The body is never nil. Call free once the
// engine has answered the request, and not if the request was abandoned, since the engine may still read
// its strings. An error is the client's, or comes from memory.
func Own(req *http.Request, memory payload.Memory) (body []byte, free func(), err error) {
	b := Buffer()
	b.Grow(capacity(req.ContentLength))
	if body, _, err = readAll(b.AvailableBuffer(), req.Body, req.ContentLength, memory); err != nil {
		Free(b)
		return nil, nil, err
	}
	*b = *bytes.NewBuffer(body)
	return body, func() { Free(b) }, nil
}

// spare is room for the read that finds the end.
const spare = 64

// unasked is the size to which a body's buffer grows within the request's [served.Overhead].
const unasked = served.Overhead / 2

// capacity returns the size to allocate before the body arrives.
func capacity(length int64) int { return int(min(max(length, 0), unasked-spare)) + spare }

// readAll reads a body. It allocates at most as much again as has arrived, and returns how much it has
// reserved.
func readAll(body []byte, from io.Reader, length int64, memory payload.Memory) (_ []byte, taken int64, err error) {
	// An earlier body left this memory.
	if kept := int64(cap(body)); kept > unasked && (length < 0 || length > unasked) {
		if err := memory.Grow(kept); err != nil {
			return nil, 0, err
		}
		taken = kept
	}
	slow, watched := memory.(interface {
		Reading(bytes int64)
		Read()
	})
	if watched && (length < 0 || length > unasked) {
		slow.Reading(0)
		defer slow.Read()
	} else {
		watched = false
	}
	for {
		if watched {
			slow.Reading(int64(len(body)))
		}
		if len(body) == cap(body) {
			larger := max(2*cap(body)+spare, 512)
			if whole := length + spare; whole > int64(len(body)) && whole <= int64(larger)+spare {
				larger = int(whole)
			}
			if larger > unasked {
				if err := memory.Grow(int64(larger)); err != nil {
					return nil, taken, err
				}
				taken += int64(larger)
			}
			before := int64(cap(body))
			body = append(make([]byte, 0, larger), body...)
			if larger > unasked && before > unasked {
				_ = memory.Grow(-before) // returning memory never fails
				taken -= before
			}
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, taken, nil
		}
		if err != nil {
			return nil, taken, Error(err)
		}
	}
}

// Error returns an error that says that reading the body failed.
func Error(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) || errors.Is(err, predict.ErrBusy) || errors.Is(err, predict.ErrInput) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return served.BadInput("the body ends too early: %w", err)
	}
	return served.BadInput("read the body: %w", err)
}

// Limit returns middleware that makes reading more than limit bytes of a body fail with an
// [http.MaxBytesError].
func Limit(limit int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch {
			case req.ContentLength > limit:
				req.Body = tooLong{req.Body, limit}
			case req.ContentLength < 0:
				// net/http reads no more than a known length.
				req.Body = http.MaxBytesReader(w, req.Body, limit)
			}
			next.ServeHTTP(w, req)
		})
	}
}

// tooLong is a body whose announced length exceeds the limit. It is refused without being read.
type tooLong struct {
	io.ReadCloser
	limit int64
}

func (t tooLong) Read([]byte) (int, error) { return 0, &http.MaxBytesError{Limit: t.limit} }
