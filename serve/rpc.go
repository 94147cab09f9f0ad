package serve

// The gRPC server: the Open Inference Protocol, TensorFlow Serving, health and reflection.

import (
	"context"
	"runtime/debug"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/pbregistry"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/oip"
	"github.com/forgo-ml/forgo/serve/tfserving"
)

// GRPC answers clients over gRPC.
func (s *Server) GRPC() *grpc.Server { return s.rpc(nil) }

func (s *Server) rpc(manager oip.Manager, more ...grpc.ServerOption) *grpc.Server {
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
		grpc.ChainUnaryInterceptor(s.traffic(manager != nil).unary, late.unary, s.observer.Unary, s.recovered),
		grpc.ChainStreamInterceptor(late.stream),
	}, slices.Concat(s.observer.TraceGRPC(), more)...)
	tap := late.tap
	if s.options.Keys != nil {
		l := &lock{s.options.Keys, manager != nil, s.observer, late.tap}
		options = append(options, grpc.ChainUnaryInterceptor(l.unary), grpc.ChainStreamInterceptor(l.stream))
		tap = l.tap
	}
	server := grpc.NewServer(append(options, grpc.InTapHandle(tap))...)
	s.counted(server, &pb.GRPCInferenceService_ServiceDesc, oip.NewService(s.models, manager))
	s.counted(server, &tfpb.PredictionService_ServiceDesc, tfserving.NewPredictionService(s.models, s.options.MaxBody))
	s.counted(server, &tfpb.ModelService_ServiceDesc, tfserving.NewModelService(s.models))
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

// healthServices are what the health service answers for, "" being the server as a whole.
var healthServices = []string{
	"", pb.GRPCInferenceService_ServiceDesc.ServiceName, tfpb.PredictionService_ServiceDesc.ServiceName, tfpb.ModelService_ServiceDesc.ServiceName,
}

// setHealth says that the server is ready, or not. It does nothing once the server stops.
func setHealth(h *health.Server, ready bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	for _, service := range healthServices {
		h.SetServingStatus(service, status)
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
