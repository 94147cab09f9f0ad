// Package admission decides whether a request may enter a model's queue. It fails with a [*BusyError], which
// becomes 429 or RESOURCE_EXHAUSTED: [Queue] bounds a model's rows, bytes and waiting time, and [Budget] the
// memory of all models together.
package admission

import (
	"errors"
	"time"

	"github.com/forgo-ml/forgo/predict/engines"
)

// ErrBusy is what a [*BusyError] is.
var ErrBusy = errors.New("busy")

// ErrClosed is wrapped by the errors of calls that came after Close.
var ErrClosed = errors.New("the model is closed")

// BusyError refuses a request that the model has no room for now.
type BusyError struct {
	Reason string
	// RetryAfter is how long those who wait now will take to be answered; 0 where it is not known.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string { return "busy: " + e.Reason }

// Is makes it an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// inputError is the caller's fault.
type inputError struct{ error }

func (e inputError) Is(target error) bool { return target == engines.ErrInput }
func (e inputError) Unwrap() error        { return e.error }
