// Package reply writes JSON answers and errors for every protocol.
package reply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// statusClosed is the status that web servers log for a client that has disconnected. Nobody receives it.
const statusClosed = 499

// JSON writes v as JSON with a status.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"write answer as JSON"}`)
	}
	Bytes(w, status, append(body, '\n'))
}

// Bytes writes finished JSON.
func Bytes(w http.ResponseWriter, status int, body []byte) {
	write(w, status, "application/json", body)
}

// Page writes a page for people.
func Page(w http.ResponseWriter, status int, body []byte) {
	write(w, status, "text/html; charset=utf-8", body)
}

// Text writes an answer that is not JSON.
func Text(w http.ResponseWriter, contentType string, body []byte) {
	write(w, http.StatusOK, contentType, body)
}

var jsonType = []string{"application/json"}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	if contentType == jsonType[0] {
		h["Content-Type"] = jsonType
	} else {
		h.Set("Content-Type", contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// Error writes {"error": …}, which the Open Inference Protocol and TensorFlow Serving share. It also
// records the failure for metrics and the log.
func Error(w http.ResponseWriter, status int, err error) {
	err = Short(err)
	observe.Failed(w, status, err)
	JSON(w, status, map[string]string{"error": err.Error()})
}

// Forbidden refuses a request because of its origin, which it logs.
func Forbidden(w http.ResponseWriter, req *http.Request, err error) {
	observe.Of(w).From = req.RemoteAddr
	Error(w, http.StatusForbidden, err)
}

// NotAllowed refuses a request's method, and lists the allowed ones.
func NotAllowed(w http.ResponseWriter, err error, methods ...string) {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	Error(w, http.StatusMethodNotAllowed, err)
}

// Failure writes an error with the status for its kind.
func Failure(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	var busy *predict.BusyError
	switch {
	case errors.As(err, &tooLarge):
		Error(w, http.StatusRequestEntityTooLarge, fmt.Errorf("the body is longer than %d bytes, the server's --max-body", tooLarge.Limit))
	case errors.Is(err, os.ErrDeadlineExceeded): // of the connection
		w.Header().Set("Connection", "close")
		Error(w, http.StatusRequestTimeout, errors.New("the body did not arrive in time"))
	case errors.Is(err, served.ErrNotFound):
		Error(w, http.StatusNotFound, err)
	case errors.As(err, &busy):
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(busy.RetryAfter.Seconds())))))
		Error(w, http.StatusTooManyRequests, err)
	case errors.Is(err, predict.ErrInput):
		Error(w, http.StatusBadRequest, err)
	case errors.Is(err, predict.ErrClosed), errors.Is(err, predict.ErrUnavailable), errors.Is(err, served.ErrNotReady):
		w.Header().Set("Retry-After", "1")
		Error(w, http.StatusServiceUnavailable, err)
	case errors.Is(err, context.DeadlineExceeded):
		Error(w, http.StatusGatewayTimeout, err)
	case errors.Is(err, context.Canceled):
		Error(w, statusClosed, err)
	default:
		Error(w, http.StatusInternalServerError, err)
	}
}

// longest bounds an error's text, in bytes, so that answers and log lines stay short whatever a client
// sends.
const longest = 1000

type cut struct {
	error
	text string
}

func (c cut) Error() string { return c.text }
func (c cut) Unwrap() error { return c.error }

// Short returns an error whose text has at most 1000 bytes.
func Short(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) <= longest {
		return err
	}
	return cut{err, strings.ToValidUTF8(text[:longest], "") + "..."}
}
