package minrate

// Calls over gRPC.

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"
)

// Calls ends gRPC calls whose message does not come in time.
type Calls time.Duration

// GRPC gives every call the time that the longest message has: gRPC does not tell how much of one has come.
func GRPC(patience time.Duration, maxBody int64) Calls { return Calls(Allowed(patience, maxBody)) }

// lateTimer is in the contexts of calls whose message has not come.
type lateTimer struct{}

// Tap begins a call. When it is over the context of its stream ends, and this one with it. A call
// whose own deadline comes sooner needs no other.
func (c Calls) Tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= time.Duration(c) {
		return ctx, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, lateTimer{}, time.AfterFunc(time.Duration(c), cancel)), nil
}

// Unary is an interceptor.
func (c Calls) Unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c.came(ctx)
	return next(ctx, req)
}

// Stream is for calls that go on as long as the client likes: health and reflection.
func (c Calls) Stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	c.came(stream.Context())
	return next(srv, stream)
}

func (Calls) came(ctx context.Context) {
	if t, ok := ctx.Value(lateTimer{}).(*time.Timer); ok {
		t.Stop()
	}
}
