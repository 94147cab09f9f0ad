package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Errors of the server wrap one of these.
var (
	// ErrBusy means that too many requests wait. Try again after [Error.RetryAfter].
	ErrBusy = errors.New("busy")
	// ErrNotFound means that the model, version or path does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInput means that the request is at fault.
	ErrInput = errors.New("bad input")
	// ErrDenied means that the caller lacks a key or a right.
	ErrDenied = errors.New("denied")
	// ErrUnavailable means that the server is not ready, is stopping or cannot be reached.
	ErrUnavailable = errors.New("unavailable")
)

// Code is an HTTP status or a gRPC code. Codes may be compared.
type Code struct {
	// HTTP is the status; 0 over gRPC, or if there was no answer.
	HTTP int
	// GRPC is the code of a call over gRPC; OK over HTTP.
	GRPC codes.Code

	text string
}

// String returns the code as the protocol writes it: "429 Too Many Requests", "ResourceExhausted", or
// "no answer".
func (c Code) String() string { return c.text }

func grpcCode(c codes.Code) Code { return Code{GRPC: c, text: c.String()} }

// Error is a call that failed at the server, or on the way to it.
type Error struct {
	// Call is the method and URL, or the gRPC method.
	Call string
	// Code is the protocol's code for the failure.
	Code Code
	// Message is the server's message.
	Message string
	// RetryAfter is how long the server asks to wait; 0 if it does not say.
	RetryAfter time.Duration

	kind error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Call, e.Code, e.Message) }
func (e *Error) Unwrap() error { return e.kind }

var statusKinds = map[int]error{
	http.StatusBadRequest:            ErrInput,
	http.StatusRequestEntityTooLarge: ErrInput,
	http.StatusUnsupportedMediaType:  ErrInput,
	http.StatusUnprocessableEntity:   ErrInput,
	http.StatusUnauthorized:          ErrDenied,
	http.StatusForbidden:             ErrDenied,
	http.StatusNotFound:              ErrNotFound,
	http.StatusRequestTimeout:        context.DeadlineExceeded,
	http.StatusGatewayTimeout:        context.DeadlineExceeded,
	http.StatusTooManyRequests:       ErrBusy,
	http.StatusBadGateway:            ErrUnavailable,
	http.StatusServiceUnavailable:    ErrUnavailable,
}

// statusError is an answer with a status other than 2xx.
func statusError(call string, resp *http.Response, body []byte) error {
	e := &Error{Call: call, Code: Code{HTTP: resp.StatusCode, text: resp.Status}, Message: message(body), kind: statusKinds[resp.StatusCode]}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// message finds the server's message in the body of an error.
func message(body []byte) string {
	var said struct {
		Error  json.RawMessage `json:"error"`
		Detail json.RawMessage `json:"detail"` // as FastAPI has it
	}
	text := string(body)
	if json.Unmarshal(body, &said) == nil {
		if said.Error == nil {
			said.Error = said.Detail
		}
		if json.Unmarshal(said.Error, &text) != nil && said.Error != nil {
			text = string(said.Error)
		}
	}
	if text = strings.TrimSpace(text); len(text) > 500 {
		text = text[:500] + "…"
	}
	if text == "" {
		return "the server says no more"
	}
	return text
}

var codeKinds = map[codes.Code]error{
	codes.InvalidArgument:   ErrInput,
	codes.OutOfRange:        ErrInput,
	codes.Unauthenticated:   ErrDenied,
	codes.PermissionDenied:  ErrDenied,
	codes.NotFound:          ErrNotFound,
	codes.DeadlineExceeded:  context.DeadlineExceeded,
	codes.Canceled:          context.Canceled,
	codes.ResourceExhausted: ErrBusy,
	codes.Unavailable:       ErrUnavailable,
}

// codeError is a gRPC call that failed.
func codeError(method string, err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	return &Error{Call: method, Code: grpcCode(s.Code()), Message: s.Message(), kind: codeKinds[s.Code()]}
}
