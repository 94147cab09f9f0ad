package observe

import (
	"context"
	"errors"
	"path"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const idMetadata = "x-request-id"

// rpc is a call with its context.
type rpc struct {
	carrier
	Request
}

// Unary watches the calls of a gRPC server's inference service.
func (o *Observer) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if !strings.HasPrefix(info.FullMethod, "/inference.") {
		return next(ctx, req)
	}
	c := &rpc{Request: Request{Protocol: OIPGRPC}}
	c.carrier = carrier{ctx, &c.Request}
	var chosen string
	if given := metadata.ValueFromIncomingContext(ctx, idMetadata); len(given) > 0 {
		chosen = given[0]
	}
	o.begin(ctx, &c.Request, chosen)
	answer, err := next(&c.carrier, req)
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
