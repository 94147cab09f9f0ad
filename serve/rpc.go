package serve

// The gRPC server: the services of all protocols, health and reflection.

import (
	"context"
	"runtime/debug"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"github.com/forgo-ml/forgo/internal/pbregistry"
	"github.com/forgo-ml/forgo/serve/internal/authorization"
	"github.com/forgo-ml/forgo/serve/internal/observe"
)

// GRPC answers clients over gRPC.
func (s *Server) GRPC() *grpc.Server { return s.rpc(false) }

func (s *Server) rpc(operators bool, more ...grpc.ServerOption) *grpc.Server {
	late := s.late()
	options := append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(s.options.MaxBody)),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		//lint:ignore SA1019 it is the only one that is this server's alone
		grpc.RPCDecompressor(asSent{}),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(s.options.ClientTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idle, Time: pingAfter, Timeout: s.options.ClientTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsApart, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.traffic(operators).unary, late.unary, s.observer.Unary, s.recovered),
		grpc.ChainStreamInterceptor(late.stream),
	}, slices.Concat(s.observer.TraceGRPC(), more)...)
	tap := late.tap
	if s.options.Keys != nil {
		a := &authorization.GRPC{Keys: s.options.Keys, Rights: s.rights(operators), Observer: s.observer, Next: late.tap}
		options = append(options, grpc.ChainUnaryInterceptor(a.Unary), grpc.ChainStreamInterceptor(a.Stream))
		tap = a.Tap
	}
	server := grpc.NewServer(append(options, grpc.InTapHandle(tap))...)
	for _, service := range s.protocols.Services() {
		s.counted(server, service.Description, service.New(s.with(operators)))
	}
	grpc_health_v1.RegisterHealthServer(server, s.health)
	registerReflection(server)
	return server
}

// registerReflection is [reflection.Register] of services that the process's registry does not have.
func registerReflection(server *grpc.Server) {
	options := reflection.ServerOptions{Services: server, DescriptorResolver: pbregistry.Files}
	reflectionv1.RegisterServerReflectionServer(server, reflection.NewServerV1(options))
	// Older clients ask for it.
	reflectionv1alpha.RegisterServerReflectionServer(server, reflection.NewServer(options))
}

// setHealth says that the server is ready, or not. It does nothing once the server stops.
func (s *Server) setHealth(ready bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	for _, service := range healthServices(s.protocols) {
		s.health.SetServingStatus(service, status)
	}
}

// recovered turns a panic into INTERNAL for that call alone.
func (s *Server) recovered(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.options.Log.Error("panic", "request_id", observe.From(ctx).ID(), "panic", p, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "internal error; the server's log has it")
		}
	}()
	return next(ctx, req)
}
