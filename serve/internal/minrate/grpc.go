package minrate

// Calls over gRPC.

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"
)

// Calls ends gRPC calls whose message does not arrive in time.
type Calls time.Duration

// GRPC gives every call the time for the longest message, since gRPC does not tell how much of one has
// arrived.
func GRPC(patience time.Duration, maxBody int64) Calls { return Calls(Allowed(patience, maxBody)) }

// lateTimer is the context key for the timer of a call whose message has not arrived.
type lateTimer struct{}

// Tap starts a call's timer, which ends the context of its stream. A call with an earlier deadline needs
// none.
func (c Calls) Tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= time.Duration(c) {
		return ctx, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, lateTimer{}, time.AfterFunc(time.Duration(c), cancel)), nil
}

// Unary is a unary interceptor.
func (c Calls) Unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c.came(ctx)
	return next(ctx, req)
}

// Stream is for calls that last as long as the client likes: health and reflection.
func (c Calls) Stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	c.came(stream.Context())
	return next(srv, stream)
}

func (Calls) came(ctx context.Context) {
	if t, ok := ctx.Value(lateTimer{}).(*time.Timer); ok {
		t.Stop()
	}
}
