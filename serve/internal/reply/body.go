package reply

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// maxKept bounds the buffers that are kept for later requests.
const maxKept = 1 << 20

// maxOwned bounds what is set aside for a body on the word of its Content-Length.
const maxOwned = 64 << 20

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Buffer returns an empty buffer; free gives it back, after which its bytes are another's.
func Buffer() (b *bytes.Buffer, free func()) {
	b = buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b, func() {
		if b.Cap() <= maxKept {
			buffers.Put(b)
		}
	}
}

// Body reads a request's body into a buffer that is reused: nothing may keep its bytes after
// free. The error is the caller's.
func Body(req *http.Request) (body []byte, free func(), err error) {
	b, free := Buffer()
	b.Grow(room(req))
	if body, err = readAll(b.AvailableBuffer(), req); err != nil {
		free()
		return nil, nil, err
	}
	_, _ = b.Write(body) // keeps the grown memory for the next body
	return b.Bytes(), free, nil
}

// OwnBody reads a request's body into memory that tensors may share; it is never nil. free gives it
// back once the engine has answered the request, and must not be called where it has not: of a
// request that was given up in a batch the engine may still be reading the strings. An error is the
// client's.
func OwnBody(req *http.Request) (body []byte, free func(), err error) {
	b, free := Buffer()
	b.Grow(room(req))
	if body, err = readAll(b.AvailableBuffer(), req); err != nil {
		free()
		return nil, nil, err
	}
	return body, free, nil
}

// spare is for the read that finds the end.
const spare = 64

// room is what is set aside before the body comes.
func room(req *http.Request) int { return int(min(max(req.ContentLength, 0), maxKept)) + spare }

func readAll(body []byte, req *http.Request) ([]byte, error) {
	for {
		n, err := req.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, BodyError(err)
		}
		if len(body) == cap(body) { // memory for all of it only once a part has come
			body = slices.Grow(body, int(min(max(req.ContentLength-int64(len(body)), 0), maxOwned))+spare)
		}
	}
}

// BodyError names the body as what is at fault for a failed read.
func BodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) || errors.Is(err, predict.ErrBusy) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return served.BadInput("the body ends too early: %w", err)
	}
	return served.BadInput("read the body: %w", err)
}
