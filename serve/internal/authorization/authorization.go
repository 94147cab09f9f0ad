// Package authorization refuses requests and calls whose key lacks the right that they need, before it
// reads their bodies. [Rights] says which right that is.
package authorization

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/protocol"
	"github.com/forgo-ml/forgo/serve/ui"
)

// Rights says which right a call needs on one kind of port.
type Rights struct {
	Protocols protocol.Set
	// Operators says that the port is the operators'.
	Operators bool
	// Metrics lists the paths of metrics on the port.
	Metrics []string
}

// Path returns the right that a path needs, even if the path does not exist: predict on client ports and
// admin on the operators' port, except for metrics and for what a protocol specifies.
func (r Rights) Path(path string) access.Right {
	purpose := protocol.Manage
	if h, ok := r.Protocols.OfPath(path); ok && (h.Operators || !r.Operators) {
		purpose = h.PurposeOf(path)
	}
	if r.Operators && slices.Contains(r.Metrics, path) {
		return access.Metrics
	}
	return r.of(purpose)
}

// Method returns the right that a full gRPC method needs.
func (r Rights) Method(method string) access.Right {
	switch method {
	case grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName:
		return access.None
	}
	for _, p := range r.Protocols {
		if purpose := p.GRPC.Method(method); purpose != protocol.Manage {
			return r.of(purpose)
		}
	}
	return r.of(protocol.Manage)
}

func (r Rights) of(p protocol.Purpose) access.Right {
	switch {
	case p == protocol.Probe:
		return access.None // probes have no place for secrets
	case p == protocol.Manage && r.Operators:
		return access.Admin
	}
	return access.Predict
}

// HTTP returns middleware that passes on requests whose key has the right that they need.
func HTTP(keys *access.Keys, rights Rights) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			// chi routes by it: both must see the same path.
			path := req.URL.RawPath
			if path == "" {
				path = req.URL.Path
			}
			need := rights.Path(path)
			if need == access.None {
				next.ServeHTTP(w, req)
				return
			}
			name, err := keys.Check(req.Header.Get("Authorization"), req.Header.Get("X-API-Key"), need)
			request := observe.Of(w)
			request.Client = name
			if err == nil {
				next.ServeHTTP(w, req)
				return
			}
			request.From = req.RemoteAddr
			if errors.Is(err, access.ErrNoKey) && ui.Wants(req) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="forgo"`)
				ui.AskForKey(w)
				return
			}
			code, challenge := http.StatusUnauthorized, `Bearer realm="forgo"`
			switch _, known := errors.AsType[*access.RightError](err); {
			case known:
				code = http.StatusForbidden
				challenge += fmt.Sprintf(`, error="insufficient_scope", scope=%q`, need)
			case errors.Is(err, access.ErrWrongKey):
				challenge += `, error="invalid_token"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			reply.Error(w, code, err)
		})
	}
}

// GRPC passes on calls whose key has the right that they need.
type GRPC struct {
	Keys     *access.Keys
	Rights   Rights
	Observer *observe.Observer
	// Next handles the calls that Tap lets through.
	Next tap.ServerInHandle
}

// authorized is the context key for the name of the key of a call that Tap has passed on.
type authorized struct{}

// Tap checks a call's headers before its message is read. Some transports, such as net/http's, do not call
// Tap, so the interceptors check again.
func (g *GRPC) Tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	name, err := g.check(info.FullMethodName, info.Header)
	// No interceptor sees such a call.
	if err != nil {
		_, err = g.Observer.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: info.FullMethodName}, func(ctx context.Context, _ any) (any, error) {
			return nil, refused(ctx, name, err)
		})
		return nil, err
	}
	return g.Next(context.WithValue(ctx, authorized{}, name), info)
}

// Unary is a unary interceptor.
func (g *GRPC) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	name, err := g.ask(ctx, info.FullMethod)
	if err != nil {
		return nil, refused(ctx, name, err)
	}
	observe.From(ctx).Client = name
	return next(ctx, req)
}

// refused records whose call was refused.
func refused(ctx context.Context, name string, err error) error {
	request := observe.From(ctx)
	request.Client = name
	if p, ok := peer.FromContext(ctx); ok {
		request.From = p.Addr.String()
	}
	return err
}

// Stream is a stream interceptor.
func (g *GRPC) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if _, err := g.ask(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
}

func (g *GRPC) ask(ctx context.Context, method string) (name string, err error) {
	if name, ok := ctx.Value(authorized{}).(string); ok {
		return name, nil
	}
	headers, _ := metadata.FromIncomingContext(ctx)
	return g.check(method, headers)
}

func (g *GRPC) check(method string, headers metadata.MD) (name string, err error) {
	need := g.Rights.Method(method)
	if need == access.None {
		return "", nil
	}
	first := func(header string) string {
		if values := headers.Get(header); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	if name, err = g.Keys.Check(first("authorization"), first("x-api-key"), need); err == nil {
		return name, nil
	}
	code := codes.Unauthenticated
	if _, known := errors.AsType[*access.RightError](err); known {
		code = codes.PermissionDenied
	}
	return name, status.Error(code, err.Error())
}
