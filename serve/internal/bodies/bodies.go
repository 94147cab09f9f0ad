// Package bodies reads the bodies of requests over HTTP into memory that is reserved first, and bounds
// their length.
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

// Free gives a buffer back, whose bytes are another's then.
func Free(b *bytes.Buffer) {
	if b.Cap() <= maxKept {
		buffers.Put(b)
	}
}

// Read reads a request's body into a buffer that is reused: nothing may keep its bytes after
// free. Memory beyond what small bodies take is reserved from memory before it is taken, and
// given back by free. The error is the caller's, or memory's.
func Read(req *http.Request, memory payload.Memory) (body []byte, free func(), err error) {
	b := Buffer()
	b.Grow(room(req.ContentLength))
	body, taken, err := readAll(b.AvailableBuffer(), req.Body, req.ContentLength, memory)
	if err != nil {
		Free(b)
		return nil, nil, err
	}
	*b = *bytes.NewBuffer(body) // keeps the grown memory for the next body
	return body, func() {
		Free(b)
		if taken > 0 {
			_ = memory.Grow(-taken) // to give back never fails
		}
	}, nil
}

// Head reads the first n bytes of a request's body as Read does all of it. There may be fewer.
func Head(req *http.Request, n int64, memory payload.Memory) (head []byte, free func(), err error) {
	rest, length := req.Body, req.ContentLength
	req.Body, req.ContentLength = io.NopCloser(io.LimitReader(rest, n)), n
	head, free, err = Read(req, memory)
	req.Body, req.ContentLength = rest, length
	if length > 0 {
		req.ContentLength = max(0, length-n) // of what is left
	}
	return head, free, err
}

// Own reads a request's body into memory that tensors may share; it is never nil. free gives it
// back once the engine has answered the request, and must not be called where it has not: of a
// request that was given up in a batch the engine may still be reading the strings. An error is the
// client's, or memory's.
func Own(req *http.Request, memory payload.Memory) (body []byte, free func(), err error) {
	b := Buffer()
	b.Grow(room(req.ContentLength))
	if body, _, err = readAll(b.AvailableBuffer(), req.Body, req.ContentLength, memory); err != nil {
		Free(b)
		return nil, nil, err
	}
	*b = *bytes.NewBuffer(body)
	return body, func() { Free(b) }, nil
}

// spare is for the read that finds the end.
const spare = 64

// unasked is how large a buffer for a body grows on the request's [served.Overhead].
const unasked = served.Overhead / 2

// room is what is set aside before the body comes.
func room(length int64) int { return int(min(max(length, 0), unasked-spare)) + spare }

// readAll reads what has come, and takes memory only for as much again. It returns how much was
// reserved.
func readAll(body []byte, from io.Reader, length int64, memory payload.Memory) (_ []byte, taken int64, err error) {
	if kept := int64(cap(body)); kept > unasked && (length < 0 || length > unasked) { // of an earlier body
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
				_ = memory.Grow(-before) // to give back never fails
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

// Error names the body as what is at fault for a failed read.
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

// Limit makes a body of more than limit bytes fail with an [http.MaxBytesError].
func Limit(limit int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch {
			case req.ContentLength > limit:
				req.Body = tooLong{req.Body, limit}
			case req.ContentLength < 0: // where the length is known net/http reads no more
				req.Body = http.MaxBytesReader(w, req.Body, limit)
			}
			next.ServeHTTP(w, req)
		})
	}
}

// tooLong is a body of a length over the limit, which need not be read to be refused.
type tooLong struct {
	io.ReadCloser
	limit int64
}

func (t tooLong) Read([]byte) (int, error) { return 0, &http.MaxBytesError{Limit: t.limit} }
