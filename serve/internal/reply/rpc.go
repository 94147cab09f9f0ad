package reply

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// RPC converts an error to one with the gRPC code for its kind.
func RPC(err error) error {
	code := codes.Internal
	switch {
	case err == nil:
		return nil
	case errors.Is(err, served.ErrNotFound):
		code = codes.NotFound
	case errors.Is(err, predict.ErrBusy):
		code = codes.ResourceExhausted
	case errors.Is(err, predict.ErrInput):
		code = codes.InvalidArgument
	case errors.Is(err, predict.ErrClosed), errors.Is(err, predict.ErrUnavailable), errors.Is(err, served.ErrNotReady):
		code = codes.Unavailable
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	}
	return status.Error(code, Short(err).Error())
}
