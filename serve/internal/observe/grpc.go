package observe

import (
	"context"
	"errors"
	"path"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const idMetadata = "x-request-id"

// rpc is a call's context, through which handlers find its request.
type rpc struct {
	context.Context
	Request
}

type rpcKey struct{}

func (c *rpc) Value(key any) any {
	if key == (rpcKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// From returns the request of a call's context, or a new one if there is no observer.
func From(ctx context.Context) *Request {
	if c, ok := ctx.Value(rpcKey{}).(*rpc); ok {
		return &c.Request
	}
	return new(Request)
}

// Unary is a unary interceptor that observes the calls of inference services.
func (o *Observer) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	protocol := o.ofMethod(info.FullMethod)
	if protocol == Other {
		return next(ctx, req)
	}
	c := &rpc{Context: ctx, Request: Request{Protocol: protocol}}
	var chosen string
	if values := metadata.ValueFromIncomingContext(ctx, idMetadata); len(values) > 0 {
		chosen = values[0]
	}
	o.begin(ctx, &c.Request, chosen)
	answer, err := next(c, req)
	if err != nil {
		c.ID()
		s := status.Convert(err)
		c.fail(ofCode(s.Code()), s.Code().String(), errors.New(s.Message()))
	}
	if c.id != "" {
		_ = grpc.SetHeader(ctx, metadata.Pairs(idMetadata, c.id)) // a call that is over needs none
	}
	o.end(ctx, &c.Request, path.Base(info.FullMethod), "")
	return answer, err
}
