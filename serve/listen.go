package serve

// Where a server listens.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/internal/connection"
)

// Addresses are where a server listens; "" is nowhere.
type Addresses struct {
	HTTP, GRPC, Admin string // HOST:PORT
	Socket            string // the path of a Unix socket, for HTTP
}

// listener is one open place, with what answers there.
type listener struct {
	net.Listener
	kind  string
	tls   bool
	serve func(net.Listener) error
	end   func()        // takes no new connections
	ended chan struct{} // closed once it takes none
	stop  func(context.Context) error
}

// Serve listens, loads the models where they are not, and answers until ctx ends. Until they are
// loaded it is live and not ready. Once ctx has ended it is not ready, takes no new connections, and
// returns when the requests under way are answered, or after Options.Drain. It fails where the models
// do not start.
func (s *Server) Serve(ctx context.Context, at Addresses) error {
	listeners, err := s.open(ctx, at)
	if err != nil {
		return err
	}
	if len(listeners) == 0 {
		return errors.New("listen: every address is off")
	}
	var places []any
	for _, l := range listeners {
		if places = append(places, l.kind, l.Addr().String()); l.kind == "http" {
			scheme := "http://"
			if l.tls {
				scheme = "https://"
			}
			places = append(places, "url", scheme+l.Addr().String())
		}
	}
	s.warn(listeners)
	defer access.Watch(ctx, s.options.Log, s.options.reloaders()...)()

	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			defer close(l.ended)
			err := l.serve(l.Listener)
			if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", l.kind, err)
			}
		}()
	}
	delay := s.options.ShutdownDelay
	if err = s.load(ctx, failed); err == nil {
		s.options.Log.Info("serving", places...)
		go s.settle(ctx)
		select {
		case err = <-failed: // one that ends by itself takes the others along
		case <-ctx.Done():
		}
	} else {
		delay = 0 // nobody was told to send requests
		if ctx.Err() != nil {
			err = nil // it is to stop, and does
		}
	}
	s.options.Log.Info("stopping")
	return errors.Join(err, s.stop(listeners, delay))
}

// load starts the models while the addresses are open already: one that is taken is known before,
// and who asks meanwhile hears that the server is not ready. It leaves a load that does not end.
func (s *Server) load(ctx context.Context, failed <-chan error) error {
	if s.models.Started() {
		return nil
	}
	// Without addresses: who waits for the line that has them waits for a server that answers.
	s.options.Log.Info("listening; not ready until the models are loaded")
	loaded := make(chan error, 1)
	go func() { loaded <- s.models.Start(ctx) }()
	select {
	case err := <-loaded:
		return err
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open opens every address, or none.
func (s *Server) open(ctx context.Context, at Addresses) (_ []listener, err error) {
	var listeners []listener
	defer func() {
		if err != nil {
			for _, l := range listeners {
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
	var config net.ListenConfig
	config.SetMultipathTCP(false) // whose listeners take no socket filter: see refuse
	for _, place := range []struct {
		kind, network, address string
		listener               func() listener
	}{
		{"http", "tcp", at.HTTP, func() listener { return s.overHTTP(clients, &s.clients, certificates, false) }},
		{"grpc", "tcp", at.GRPC, func() listener { return s.overGRPC(certificates) }},
		{"admin", "tcp", at.Admin, func() listener { return s.overHTTP(s.Admin(), &s.operators, adminCertificates, true) }},
		{"socket", "unix", at.Socket, func() listener { return s.overHTTP(clients, &s.clients, nil, false) }},
	} {
		if place.address == "" {
			continue
		}
		if place.network == "unix" {
			if err := clearSocket(ctx, place.address); err != nil {
				return listeners, fmt.Errorf("listen on --socket %s: %w", place.address, err)
			}
		}
		l := place.listener()
		l.kind = place.kind
		if l.Listener, err = config.Listen(ctx, place.network, place.address); err != nil {
			return listeners, fmt.Errorf("listen on --%s %s: %w", place.kind, place.address, err)
		}
		g := &gentle{Listener: l.Listener}
		l.Listener, l.end, l.ended = s.table.Listen(g, s.options.MaxConnections, l.tls), g.end, make(chan struct{})
		listeners = append(listeners, l)
		if place.network == "unix" {
			if err := os.Chmod(place.address, 0o600); err != nil {
				return listeners, fmt.Errorf("listen on --socket %s: %w", place.address, err)
			}
		}
	}
	return listeners, nil
}

// warn says what others can do at addresses that more than this machine reaches.
func (s *Server) warn(listeners []listener) {
	var anyone, readable []string
	for _, l := range listeners {
		address, ok := l.Addr().(*net.TCPAddr)
		if !ok || address.IP.IsLoopback() {
			continue
		}
		place := l.kind + " " + address.String()
		if s.options.Keys == nil && !(l.tls && s.options.TLS.AskClients()) {
			anyone = append(anyone, place)
		}
		if !l.tls {
			readable = append(readable, place)
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

// reloaders are the files to read again when they change.
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

// clearSocket removes a socket that a server left behind, and nothing else.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file that is no socket")
	}
	if conn, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return errors.New("another server answers there")
	}
	return os.Remove(path)
}

// overHTTP serves h, with TLS where there are certificates. With rpc it takes HTTP/2 without TLS
// too, as gRPC wants it.
func (s *Server) overHTTP(h http.Handler, t *traffic, certificates *access.Certificates, rpc bool) listener {
	server := &http.Server{
		Handler:           h,
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: s.options.ClientTimeout},
		MaxHeaderBytes:    maxHeaders,
		ReadHeaderTimeout: s.options.ClientTimeout, // bodies and answers: paced
		IdleTimeout:       idle,
		ConnState:         t.connection,
		ConnContext:       connection.Context,
		BaseContext:       listenerAddress,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
	}
	server.Protocols.SetHTTP1(true)
	if certificates == nil {
		server.Protocols.SetUnencryptedHTTP2(rpc)
		return listener{serve: server.Serve, stop: t.shutdown(server)}
	}
	server.Protocols.SetHTTP2(true)
	server.TLSConfig = certificates.Config("h2", "http/1.1")
	serve := func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	return listener{tls: true, serve: serve, stop: t.shutdown(server)}
}

func (s *Server) overGRPC(certificates *access.Certificates) listener {
	var secure credentials.TransportCredentials
	if certificates != nil {
		secure = credentials.NewTLS(certificates.Config("h2"))
	}
	server := s.rpc(false, grpc.Creds(connection.Credentials(secure, s.options.ClientTimeout)))
	return listener{tls: certificates != nil, serve: server.Serve, stop: s.clients.gracefulStop(server)}
}
