package serve

// The addresses on which a server listens.

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/drain"
	"github.com/forgo-ml/forgo/serve/internal/hosts"
	"github.com/forgo-ml/forgo/serve/internal/listener"
)

// Limits on a connection, for HTTP and gRPC alike.
const (
	maxHeaders = 64 << 10         // bytes of a request's headers
	maxStreams = 250              // requests at once on one HTTP/2 connection
	idle       = 2 * time.Minute  // after which a connection without requests is closed
	pingAfter  = time.Minute      // of silence before a ping that the client must answer
	pingsApart = 10 * time.Second // for gRPC clients that ping more often
	// streamWorkers is the number of goroutines that are kept for gRPC calls, with stacks that have grown.
	// Growing a new goroutine's stack takes a sixth of a short call's time. A call that finds no free
	// worker gets a goroutine of its own.
	streamWorkers = 64
)

// Addresses are the addresses on which a server listens. An empty one is not opened.
type Addresses struct {
	HTTP, GRPC, Admin string // HOST:PORT
	Socket            string // the path of a Unix socket, for HTTP
}

// port is one open address and its handler.
type port struct {
	net.Listener
	kind  string
	tls   bool
	serve func(net.Listener) error
	end   func()        // takes no new connections
	ended chan struct{} // closed once it takes none
	stop  func(context.Context) error
}

// open opens every address, or none.
func (s *Server) open(ctx context.Context, at Addresses) (_ []port, err error) {
	var ports []port
	defer func() {
		if err != nil {
			for _, l := range ports {
				_ = l.Close()
			}
		}
	}()
	clients := s.Handler()
	certificates := s.options.TLS
	adminCertificates := certificates
	if s.options.PlainAdmin {
		adminCertificates = nil
	}
	for _, binding := range []struct {
		kind, network, address string
		port                   func() port
	}{
		{"http", "tcp", at.HTTP, func() port { return s.overHTTP(clients, &s.clients, certificates, false) }},
		{"grpc", "tcp", at.GRPC, func() port { return s.overGRPC(certificates) }},
		{"admin", "tcp", at.Admin, func() port { return s.overHTTP(s.Admin(), &s.operators, adminCertificates, true) }},
		{"socket", "unix", at.Socket, func() port { return s.overHTTP(clients, &s.clients, nil, false) }},
	} {
		if binding.address == "" {
			continue
		}
		l, err := listener.Open(ctx, binding.network, binding.address)
		if err != nil {
			return ports, fmt.Errorf("listen on --%s %s: %w", binding.kind, binding.address, err)
		}
		p := binding.port()
		p.kind, p.end, p.ended = binding.kind, l.End, make(chan struct{})
		p.Listener = s.table.Listen(l, s.options.MaxConnections, p.tls)
		ports = append(ports, p)
	}
	return ports, nil
}

// warn logs what others can do at addresses that other machines reach.
func (s *Server) warn(ports []port) {
	var anyone, readable []string
	for _, l := range ports {
		address, ok := l.Addr().(*net.TCPAddr)
		if !ok || address.IP.IsLoopback() {
			continue
		}
		binding := l.kind + " " + address.String()
		if s.options.Keys == nil && !(l.tls && s.options.TLS.AskClients()) {
			anyone = append(anyone, binding)
		}
		if !l.tls {
			readable = append(readable, binding)
		}
	}
	var what []any
	if anyone != nil {
		what = append(what, "anyone_may_call", anyone)
	}
	if readable != nil {
		what = append(what, "not_encrypted", readable)
	}
	if what != nil {
		s.options.Log.Warn("open to the network; --keys and --tls-cert close it", what...)
	}
}

// reloaders returns the files to reload when they change.
func (o Options) reloaders() []access.Reloader {
	var list []access.Reloader
	if o.Keys != nil {
		list = append(list, o.Keys)
	}
	if o.TLS != nil {
		list = append(list, o.TLS)
	}
	return list
}

// overHTTP serves h, with TLS if there are certificates. With rpc, it also accepts HTTP/2 without TLS, as
// gRPC uses it.
func (s *Server) overHTTP(h http.Handler, t *drain.Traffic, certificates *access.Certificates, rpc bool) port {
	server := &http.Server{
		Handler:           h,
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: s.options.ClientTimeout},
		MaxHeaderBytes:    maxHeaders,
		ReadHeaderTimeout: s.options.ClientTimeout, // bodies and answers: minrate
		IdleTimeout:       idle,
		ConnState:         t.Connection,
		ConnContext:       connection.Context,
		BaseContext:       hosts.BaseContext,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
	}
	server.Protocols.SetHTTP1(true)
	if certificates == nil {
		server.Protocols.SetUnencryptedHTTP2(rpc)
		return port{serve: server.Serve, stop: t.Shutdown(server)}
	}
	server.Protocols.SetHTTP2(true)
	server.TLSConfig = certificates.Config("h2", "http/1.1")
	serve := func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	return port{tls: true, serve: serve, stop: t.Shutdown(server)}
}

func (s *Server) overGRPC(certificates *access.Certificates) port {
	var secure credentials.TransportCredentials
	if certificates != nil {
		secure = credentials.NewTLS(certificates.Config("h2"))
	}
	server := s.rpc(false, grpc.Creds(connection.Credentials(secure, s.options.ClientTimeout)), grpc.NumStreamWorkers(streamWorkers))
	return port{tls: certificates != nil, serve: server.Serve, stop: s.clients.GracefulStop(server)}
}
