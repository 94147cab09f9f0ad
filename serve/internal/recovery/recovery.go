// Package recovery turns a panic into the failure of one request. It logs the panic and its stack with the
// request's id.
package recovery

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

var errInternal = errors.New("internal error; see the server's log")

// HTTP answers 500 if a handler panics. It passes [http.ErrAbortHandler] on to net/http, which closes the
// connection, since a part of the answer has been sent.
func HTTP(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			defer func() {
				if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(p)
				} else if p != nil {
					logged(log, observe.Of(w), p)
					reply.Error(w, http.StatusInternalServerError, errInternal)
				}
			}()
			next.ServeHTTP(w, req)
		})
	}
}

// Unary returns an interceptor that answers INTERNAL if a call panics.
func Unary(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
		defer func() {
			if p := recover(); p != nil {
				logged(log, observe.From(ctx), p)
				err = status.Error(codes.Internal, errInternal.Error())
			}
		}()
		return next(ctx, req)
	}
}

func logged(log *slog.Logger, r *observe.Request, p any) {
	log.Error("panic", "request_id", r.ID(), "panic", p, "stack", string(debug.Stack()))
}
