package serve

// The gRPC server: the services of all protocols, health and reflection.

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/forgo-ml/forgo/internal/pbregistry"
	"github.com/forgo-ml/forgo/serve/internal/authorization"
	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/messages"
	"github.com/forgo-ml/forgo/serve/internal/minrate"
	"github.com/forgo-ml/forgo/serve/internal/recovery"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// GRPC returns the gRPC server for clients.
func (s *Server) GRPC() *grpc.Server { return s.rpc(false) }

func (s *Server) rpc(operators bool, more ...grpc.ServerOption) *grpc.Server {
	o := s.options
	late := minrate.GRPC(o.ClientTimeout, o.MaxBody)
	counted := messages.New(o.Memory, o.MaxBody, o.ClientTimeout)
	options := slices.Concat(counted.Options(), []grpc.ServerOption{
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(o.ClientTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idle, Time: pingAfter, Timeout: o.ClientTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsApart, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.traffic(operators).Unary, late.Unary, s.observer.Unary, recovery.Unary(o.Log)),
		grpc.ChainStreamInterceptor(late.Stream),
	}, s.observer.TraceGRPC(), more)
	tap := late.Tap
	if o.Keys != nil {
		a := &authorization.GRPC{Keys: o.Keys, Rights: s.rights(operators), Observer: s.observer, Next: late.Tap}
		options = append(options, grpc.ChainUnaryInterceptor(a.Unary), grpc.ChainStreamInterceptor(a.Stream))
		tap = a.Tap
	}
	server := grpc.NewServer(append(options, grpc.InTapHandle(tap))...)
	for _, service := range s.protocols.Services() {
		counted.Register(server, service.Description, service.New(s.with(operators)))
	}
	grpc_health_v1.RegisterHealthServer(server, s.health)
	registerReflection(server)
	return server
}

// overAdmin answers a gRPC call on the admin port.
func (s *Server) overAdmin(rpc *grpc.Server, w http.ResponseWriter, req *http.Request) {
	r, err := connection.Begin(req)
	if err != nil {
		reply.Failure(w, err)
		return
	}
	defer r.End()
	if e := minrate.Begin(w, req, s.options.ClientTimeout); e != nil {
		defer e.End()
		if !endless(req.URL.Path) {
			w = e.Flushing()
		}
	}
	req.Body = r.Counted(req.Body)
	rpc.ServeHTTP(w, req)
}

// endless reports whether a method's calls last for as long as the client likes.
func endless(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.") || strings.HasPrefix(method, "/grpc.reflection.")
}

// registerReflection is [reflection.Register] for services outside the process's registry.
func registerReflection(server *grpc.Server) {
	options := reflection.ServerOptions{Services: server, DescriptorResolver: pbregistry.Files}
	reflectionv1.RegisterServerReflectionServer(server, reflection.NewServerV1(options))
	// For older clients.
	reflectionv1alpha.RegisterServerReflectionServer(server, reflection.NewServer(options))
}

// setHealth sets the health service's answer. It does nothing once the server stops.
func (s *Server) setHealth(ready bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	for _, service := range healthServices(s.protocols) {
		s.health.SetServingStatus(service, status)
	}
}
