// Package observe makes a server observable. It counts requests for Prometheus, gives them ids, and writes
// their outcomes to the log and to traces.
package observe

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
)

// Reason says why a request failed.
type Reason int

// Reasons of failures.
const (
	Internal Reason = iota
	BadInput
	Unauthenticated
	Forbidden
	NotFound
	TooLarge
	Busy
	Cancelled
	Deadline
	Unavailable
	Unimplemented
	reasons
)

var reasonNames = [reasons]string{
	"internal", "bad_input", "unauthenticated", "forbidden", "not_found", "too_large",
	"busy", "cancelled", "deadline", "unavailable", "unimplemented",
}

func (r Reason) String() string { return reasonNames[r] }

// ofStatus returns the reason that an HTTP status stands for.
func ofStatus(status int) Reason {
	switch status {
	case http.StatusUnauthorized:
		return Unauthenticated
	case http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound:
		return NotFound
	case http.StatusRequestEntityTooLarge:
		return TooLarge
	case http.StatusTooManyRequests:
		return Busy
	case 499:
		return Cancelled
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return Deadline
	case http.StatusServiceUnavailable:
		return Unavailable
	case http.StatusNotImplemented:
		return Unimplemented
	}
	if status < 500 {
		return BadInput
	}
	return Internal
}

// ofCode returns the reason that a gRPC code stands for.
func ofCode(code codes.Code) Reason {
	switch code {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return BadInput
	case codes.Unauthenticated:
		return Unauthenticated
	case codes.PermissionDenied:
		return Forbidden
	case codes.NotFound:
		return NotFound
	case codes.ResourceExhausted:
		return Busy
	case codes.Canceled:
		return Cancelled
	case codes.DeadlineExceeded:
		return Deadline
	case codes.Unavailable:
		return Unavailable
	case codes.Unimplemented:
		return Unimplemented
	}
	return Internal
}

// Request is the progress of one request. Except for Picture, only its own goroutine may use it.
type Request struct {
	Protocol *Protocol
	// Client is the name of the client's key. From is the address of a client whose key was refused.
	// Optional.
	Client, From string

	start  time.Time
	ended  time.Time // when its answer was written; zero for one without
	id     string
	traced bool
	route  string // the pattern of its path, over HTTP; "" if no handler has it
	calls  *Calls // of the model that was asked for, once it is found

	received           time.Duration // the wait for the body so far
	decode, preprocess atomic.Int64  // nanoseconds, added up over pictures
	pictures           time.Duration // time spent preparing them

	err    error  // the error that answers it
	status string // the HTTP status or gRPC code of that
	reason Reason
}

func (r *Request) fail(reason Reason, status string, err error) {
	r.reason, r.status, r.err = reason, status, err
}

const (
	idHeader = "X-Request-Id"
	longest  = 128 // bytes of an id that a client may choose
)

// validID reports whether a client's id may appear unchanged in logs and headers.
func validID(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return id != "" && len(id) <= longest
}

// ID returns the request's id. Most requests never need one.
func (r *Request) ID() string {
	if r.id == "" {
		r.id = fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	}
	return r.id
}
