package serve

// Keys are asked for here: which right a call needs, and the refusal of those without it, before
// anything of their bodies is read.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/ui"
)

// ofModel is the path of a model that ends in what is done with it.
var ofModel = regexp.MustCompile(`^/v2/models/[^/]*(?:/versions/[^/]*)?/(ready|infer)$`)

// needs says which right a path needs, for every path that there is or will be: predict on the
// ports of clients and admin on the admin port, but for those named here.
func needs(path string, admin bool) access.Right {
	do := ""
	if m := ofModel.FindStringSubmatch(path); m != nil {
		do = m[1]
	}
	switch {
	case path == "/v2/health/live", path == "/v2/health/ready", do == "ready":
		return access.None // for probes, which have no place for secrets
	case admin && slices.Contains(metricsPaths, path):
		return access.Metrics
	case admin && do != "infer":
		return access.Admin
	}
	return access.Predict
}

// needsRPC says the same of gRPC's methods.
func needsRPC(method string, admin bool) access.Right {
	switch method {
	case pb.GRPCInferenceService_ServerLive_FullMethodName, pb.GRPCInferenceService_ServerReady_FullMethodName,
		pb.GRPCInferenceService_ModelReady_FullMethodName,
		grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName:
		return access.None
	case pb.GRPCInferenceService_ModelInfer_FullMethodName, tfpb.PredictionService_Predict_FullMethodName,
		tfpb.PredictionService_Classify_FullMethodName, tfpb.PredictionService_Regress_FullMethodName:
		return access.Predict
	}
	if admin {
		return access.Admin
	}
	return access.Predict
}

// locked lets requests through that come with a key that has the right they need.
func locked(keys *access.Keys, admin bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			path := req.URL.RawPath // what chi routes by: the two must see the same path
			if path == "" {
				path = req.URL.Path
			}
			need := needs(path, admin)
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

// lock is the same for gRPC.
type lock struct {
	keys     *access.Keys
	admin    bool
	observer *observe.Observer
	next     tap.ServerInHandle
}

// opened is in the context of a call that tap has let through: the name of its key.
type opened struct{}

// tap refuses a call by its headers, before any of its message is read. Not every transport asks
// it (net/http's does not), so that the interceptors ask again.
func (l *lock) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	name, err := l.check(info.FullMethodName, info.Header)
	if err != nil { // which no interceptor sees
		_, err = l.observer.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: info.FullMethodName}, func(ctx context.Context, _ any) (any, error) {
			return nil, refused(ctx, name, err)
		})
		return nil, err
	}
	return l.next(context.WithValue(ctx, opened{}, name), info)
}

func (l *lock) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	name, err := l.ask(ctx, info.FullMethod)
	if err != nil {
		return nil, refused(ctx, name, err)
	}
	observe.From(ctx).Client = name
	return next(ctx, req)
}

// refused notes whose call it was.
func refused(ctx context.Context, name string, err error) error {
	request := observe.From(ctx)
	request.Client = name
	if p, ok := peer.FromContext(ctx); ok {
		request.From = p.Addr.String()
	}
	return err
}

func (l *lock) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if _, err := l.ask(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
}

func (l *lock) ask(ctx context.Context, method string) (name string, err error) {
	if name, ok := ctx.Value(opened{}).(string); ok {
		return name, nil
	}
	headers, _ := metadata.FromIncomingContext(ctx)
	return l.check(method, headers)
}

func (l *lock) check(method string, headers metadata.MD) (name string, err error) {
	need := needsRPC(method, l.admin)
	if need == access.None {
		return "", nil
	}
	first := func(header string) string {
		if values := headers.Get(header); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	if name, err = l.keys.Check(first("authorization"), first("x-api-key"), need); err == nil {
		return name, nil
	}
	code := codes.Unauthenticated
	if _, known := errors.AsType[*access.RightError](err); known {
		code = codes.PermissionDenied
	}
	return name, status.Error(code, err.Error())
}
