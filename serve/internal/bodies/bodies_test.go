package bodies_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// memory counts what is reserved, up to most.
type memory struct{ now, peak, most int64 }

func (m *memory) Grow(bytes int64) error {
	if m.most > 0 && m.now+bytes > m.most {
		return &predict.BusyError{Reason: "full"}
	}
	m.now += bytes
	m.peak = max(m.peak, m.now)
	return nil
}

// request has a body of a known length, or in chunks.
func request(t *testing.T, body string, chunked bool) *http.Request {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	if chunked {
		req.ContentLength = -1
	}
	return req
}

// Read reserves what a body takes beyond every request's overhead, and free gives it back.
func TestReadReservesWhatItTakes(t *testing.T) {
	for _, size := range []int{0, 1, served.Overhead / 4, served.Overhead, 100_000, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			text, m := strings.Repeat("x", size), &memory{}
			body, free, err := bodies.Read(request(t, text, chunked), m)
			if err != nil || string(body) != text {
				t.Fatalf("%d bytes: %d, %v", size, len(body), err)
			}
			if small := size <= served.Overhead/4; small && m.now != 0 || !small && m.now < int64(size) {
				t.Errorf("%d bytes, chunked %v: %d are reserved", size, chunked, m.now)
			}
			if free(); m.now != 0 {
				t.Errorf("%d bytes: %d are not given back", size, m.now)
			}
		}
	}
}

// A body that finds no memory is refused before it is read to its end.
func TestReadRefusesWhatHasNoMemory(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		req := request(t, strings.Repeat("x", 1<<20), chunked)
		if _, _, err := bodies.Read(req, &memory{most: 64 << 10}); !errors.Is(err, predict.ErrBusy) {
			t.Errorf("%v", err)
		}
		if rest, err := io.ReadAll(req.Body); err != nil || len(rest) < 1<<19 {
			t.Errorf("%d bytes are left, %v", len(rest), err)
		}
	}
}

// Head reads the beginning, and leaves the rest for Own.
func TestHeadLeavesTheRest(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		req, m := request(t, "head and rest", chunked), &memory{}
		head, free, err := bodies.Head(req, 4, m)
		if err != nil || string(head) != "head" {
			t.Fatalf("%q, %v", head, err)
		}
		defer free()
		if !chunked && req.ContentLength != 9 {
			t.Errorf("%d bytes are said to be left", req.ContentLength)
		}
		rest, _, err := bodies.Own(req, m)
		if err != nil || string(rest) != " and rest" {
			t.Errorf("%q, %v", rest, err)
		}
	}
	head, _, err := bodies.Head(request(t, "ab", true), 4, &memory{})
	if err != nil || string(head) != "ab" {
		t.Errorf("a body shorter than its head: %q, %v", head, err)
	}
}

// A body of just the limit is taken. One of a byte more is refused, and none of it read where its length is known.
func TestLimit(t *testing.T) {
	const limit = 1000
	for size, ok := range map[int]bool{0: true, limit: true, limit + 1: false, 10 * limit: false} {
		for _, chunked := range []bool{false, true} {
			req, read := request(t, strings.Repeat("x", size), chunked), 0
			source := req.Body
			req.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
				n, err := source.Read(p)
				read += n
				return n, err
			}))
			bodies.Limit(limit)(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				_, free, err := bodies.Read(req, &memory{})
				var tooLong *http.MaxBytesError
				if (err == nil) != ok || err != nil && (!errors.As(err, &tooLong) || tooLong.Limit != limit) {
					t.Errorf("%d bytes, chunked %v: %v", size, chunked, err)
				}
				if err == nil {
					free()
				}
			})).ServeHTTP(httptest.NewRecorder(), req)
			if !ok && !chunked && read > 0 {
				t.Errorf("%d bytes of %d were read", read, size)
			}
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// What is wrong with a body is the client's fault, but for what says otherwise.
func TestErrorsAreTheClients(t *testing.T) {
	for _, cause := range []error{io.ErrUnexpectedEOF, io.EOF, errors.New("malformed chunked encoding")} {
		if err := bodies.Error(cause); !errors.Is(err, predict.ErrInput) || !errors.Is(err, cause) {
			t.Errorf("%v: %v", cause, err)
		}
	}
	busy := &predict.BusyError{Reason: "full"}
	if err := bodies.Error(busy); !errors.Is(err, predict.ErrBusy) || errors.Is(err, predict.ErrInput) {
		t.Errorf("%v", err)
	}
}
