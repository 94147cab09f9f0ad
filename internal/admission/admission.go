// Package admission decides whether a request may enter a model's queue. [Queue] bounds a model's rows,
// bytes and waiting time; [Budget] bounds the memory of all models together. A refusal is a [*BusyError],
// which becomes HTTP status 429 or RESOURCE_EXHAUSTED.
package admission

import (
	"errors"
	"time"

	"github.com/forgo-ml/forgo/predict/engines"
)

// ErrBusy matches every [*BusyError] in errors.Is.
var ErrBusy = errors.New("busy")

// ErrClosed is wrapped by the errors of calls after Close.
var ErrClosed = errors.New("the model is closed")

// BusyError means that the model has no room for a request now.
type BusyError struct {
	Reason string
	// RetryAfter is how long the requests that already wait will take, or 0 if that is unknown.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string { return "busy: " + e.Reason }

// Is reports whether target is ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// inputError is an error in the caller's input.
type inputError struct{ error }

func (e inputError) Is(target error) bool { return target == engines.ErrInput }
func (e inputError) Unwrap() error        { return e.error }
