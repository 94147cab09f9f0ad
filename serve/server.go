// Package serve answers over HTTP and gRPC with verified models.
//
// One folder below is one protocol: oip speaks the Open Inference Protocol v2 and tfserving
// TensorFlow Serving's API, both over REST and gRPC; native takes the thing itself (a picture,
// JSON rows, a CSV) and gives the labelled answer. All of them call the same [predict.Model].
// openapi describes what they offer.
package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/health"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/internal/authorization"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/compress"
	"github.com/forgo-ml/forgo/serve/internal/connection"
	"github.com/forgo-ml/forgo/serve/internal/crosssite"
	"github.com/forgo-ml/forgo/serve/internal/drain"
	"github.com/forgo-ml/forgo/serve/internal/hosts"
	"github.com/forgo-ml/forgo/serve/internal/minrate"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/recovery"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/internal/shed"
	"github.com/forgo-ml/forgo/serve/openapi"
	"github.com/forgo-ml/forgo/serve/protocol"
	"github.com/forgo-ml/forgo/serve/repository"
	"github.com/forgo-ml/forgo/serve/ui"
)

// Limits bound one request, beyond its length.
type Limits = served.Limits

// DefaultMaxBody is what Options.MaxBody is where it is 0.
const DefaultMaxBody = 32 << 20

// DefaultDrain is what Options.Drain is where it is 0.
const DefaultDrain = 30 * time.Second

// DefaultLimits are what Limits are where they are 0.
var DefaultLimits = served.DefaultLimits

// Options configure a server. The zero value is useful.
type Options struct {
	// Protocols are the ways to call the server. Optional: [Protocols].
	Protocols []protocol.Protocol
	// MaxBody bounds a request's body in bytes, as it is sent and once it is unpacked.
	// Optional: 32 MiB.
	MaxBody int64
	// Limits bound further the requests to models that [New] is given; a repository has its own.
	Limits
	// ClientTimeout is how long a client may take to send a request's headers, its body, and to
	// take the answer; a body or an answer has a second more for each 64 KiB. Optional: 20 s.
	ClientTimeout time.Duration
	// MaxConnections bounds the connections of each address, and a quarter of Memory those of all,
	// 24 KiB each, 48 KiB with TLS. Beyond it those make room that ask for nothing, and then those that
	// take longest to; a client with few connections is the last to be cut. Optional: 8192.
	MaxConnections int
	// Memory bounds what all requests take together; models have it as their predict.Options.Budget.
	// Optional: without it each model's queue bounds its own.
	Memory *predict.Budget
	// Keys are asked for by everything but the health endpoints. Serve keeps them up to date;
	// who uses the handlers alone calls access.Watch. Optional: without them anyone may call.
	Keys *access.Keys
	// TLS are the certificates that Serve listens with, but on a Unix socket. Optional: without
	// them nothing is encrypted.
	TLS *access.Certificates
	// PlainAdmin leaves the admin port without TLS, for one that only this machine reaches.
	PlainAdmin bool
	// Origins are those of the web pages that may call over HTTP, as CheckOrigin takes them.
	// Optional: none but pages of the server itself.
	Origins []string
	// Hosts are names that the server is called by beside localhost and its own address, as CheckHost
	// takes them. The Host header is checked on the admin port always, on ports for clients that
	// listen on the loopback where there are no Keys, and everywhere once there are Hosts. Optional.
	Hosts []string
	// NoProfiles leaves Go's profiles and variables at /debug off the admin port.
	NoProfiles bool
	// Drain bounds the time that requests under way have once the server is to stop; what is not
	// answered then is cut. Optional: 30 s.
	Drain time.Duration
	// ShutdownDelay is how long a server that is to stop takes new connections, so that those
	// who ask whether it is ready can turn their clients elsewhere first. Optional: none.
	ShutdownDelay time.Duration
	// Log receives what operators should know. Optional: slog.Default().
	Log *slog.Logger
	// LogDropped counts the lines of Log that were lost, for the metrics. Optional.
	LogDropped func() uint64
	// Traces makes the spans of inference requests, with their callers' as parents. Optional:
	// without it there are none, and they cost nothing.
	Traces trace.TracerProvider
}

// CheckOrigin refuses what is no origin of web pages: SCHEME://HOST[:PORT], where HOST may begin
// with *., or * for all.
func CheckOrigin(origin string) error { return crosssite.Valid(origin) }

// CheckHost refuses what is no name for [Options.Hosts]: NAME, *.NAME for the names below it, an
// address, or * for all.
func CheckHost(host string) error { return hosts.Valid(host) }

// Server answers with models. It is safe for concurrent use.
type Server struct {
	models    *repository.Repository
	options   Options
	protocols protocol.Set
	health    *health.Server
	observer  *observe.Observer

	clients, operators drain.Traffic
	table              *connection.Table
}

// Models are models by name.
type Models map[string]*predict.Model

// New returns a server of models, each as its version 1, which stay the caller's to close once
// it no longer answers.
func New(models Models, o Options) *Server {
	return Repository(repository.Fixed(models, o.Limits), o)
}

// Repository returns a server of the models of a repository, which stays the caller's to close.
func Repository(models *repository.Repository, o Options) *Server {
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.ClientTimeout == 0 {
		o.ClientTimeout = 20 * time.Second
	}
	if o.Drain == 0 {
		o.Drain = DefaultDrain
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 8192
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Protocols == nil {
		o.Protocols = Protocols()
	}
	s := &Server{models: models, options: o, protocols: o.Protocols, health: health.NewServer()}
	s.table = connection.New(o.Memory, o.Log)
	s.observer = observe.New(o.Log, o.Traces, observed(s.protocols), s.state)
	models.Notify(func() { s.setHealth(models.Ready()) })
	s.setHealth(models.Ready())
	return s
}

// state is what metrics say of a server.
func (s *Server) state() observe.State {
	now := observe.State{Ready: s.models.Ready(), Closed: s.table.Closed(), GivenUp: shed.Given()}
	if s.options.LogDropped != nil {
		now.LogDropped = s.options.LogDropped()
	}
	for _, v := range s.models.Status() {
		now.Versions = append(now.Versions, observe.Version{Name: v.Name, Version: v.Version, Ready: v.Model != nil, Gone: v.Gone})
		if v.Model != nil {
			now.Models = append(now.Models, v.Model.Observed())
		}
	}
	for name, c := range s.models.Counts() {
		now.Loads = append(now.Loads, observe.Loads{Name: name, Loaded: c.Loaded, Refused: c.Refused})
	}
	return now
}

// Handler answers clients over HTTP, in every protocol.
func (s *Server) Handler() http.Handler {
	r := s.router(false)
	for _, p := range s.protocols {
		if p.HTTP.Handler != nil {
			r.Mount(p.HTTP.Prefix, p.HTTP.Handler(s.with(false)))
		}
	}
	var asks func(path string) bool
	if s.options.Keys != nil {
		asks = func(path string) bool { return s.rights(false).Path(path) != access.None }
	}
	openapi.Routes(r, s.models, s.protocols.OpenAPI(), asks)
	r.Get("/", ui.Home(s.models))
	return s.observer.TraceHTTP(r)
}

// Admin answers operators over HTTP and, on the same port, gRPC: what clients may ask of the
// Open Inference Protocol, and the part of its repository extension that only operators may;
// Prometheus's metrics at /metrics and Go's profiles at /debug/pprof/.
// For gRPC the HTTP server must speak HTTP/2 without TLS.
func (s *Server) Admin() http.Handler {
	r := s.observer.TraceHTTP(s.adminRouter())
	rpc := s.rpc(true) // which traces its calls itself
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		// No guard: a page cannot make a browser speak HTTP/2 without TLS, nor send this type unasked.
		if req.ProtoMajor == 2 && strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
			s.overAdmin(rpc, w, req)
			return
		}
		r.ServeHTTP(w, req)
	})
}

// with is what protocols answer with.
func (s *Server) with(operators bool) protocol.Server {
	return protocol.Server{Models: s.models, Operators: operators, MaxBody: s.options.MaxBody}
}

func (s *Server) rights(operators bool) authorization.Rights {
	return authorization.Rights{Protocols: s.protocols, Operators: operators, Metrics: metricsPaths}
}

// pages are what people read, where links on other sites may lead.
var pages = []string{"/", "/docs"}

// metricsPaths are where operators find metrics: the second is TensorFlow Serving's, whose scrapers
// need another port alone.
var metricsPaths = []string{"/metrics", "/monitoring/prometheus/metrics"}

func (s *Server) adminRouter() chi.Router {
	r := s.router(true)
	for _, p := range s.protocols {
		if p.HTTP.Operators {
			r.Mount(p.HTTP.Prefix, p.HTTP.Handler(s.with(true)))
		}
	}
	for _, path := range metricsPaths {
		r.Method(http.MethodGet, path, s.observer.Metrics())
	}
	if !s.options.NoProfiles {
		r.Mount("/debug", middleware.Profiler())
	}
	return r
}

// Reload reads keys and certificates again now, where they changed.
func (s *Server) Reload() { access.Reload(s.options.Log, s.options.reloaders()...) }

// Drain makes the server answer that it is not ready, so that no new requests are sent to it.
// It still answers those that come.
func (s *Server) Drain() {
	s.clients.Stop()
	s.operators.Stop()
	s.models.Stop()
	s.health.Shutdown()
}

// traffic is that of the ports for operators, or of those for clients.
func (s *Server) traffic(admin bool) *drain.Traffic {
	if admin {
		return &s.operators
	}
	return &s.clients
}

func (s *Server) router(admin bool) chi.Router {
	r := chi.NewRouter()
	o := s.options
	r.Use(
		s.traffic(admin).HTTP(o.ClientTimeout),
		bodies.Limit(o.MaxBody),
		minrate.HTTP(o.ClientTimeout),
		crosssite.NoSniff,
		s.observer.HTTP,
		recovery.HTTP(o.Log),
	)
	var origins, linked []string // no page of another site may call operators' ports
	if !admin {
		origins, linked = o.Origins, pages
	}
	if len(origins) > 0 {
		r.Use(crosssite.CORS(origins).Handler)
	}
	r.Use(
		hosts.HTTP(hosts.Options{Allowed: o.Hosts, Operators: admin, Keys: o.Keys != nil}),
		crosssite.HTTP(origins, linked),
	)
	if o.Keys != nil {
		r.Use(authorization.HTTP(o.Keys, s.rights(admin)))
	}
	r.Use(compress.HTTP(o.MaxBody, s.protocols.Compresses), headIsGet)
	r.NotFound(func(w http.ResponseWriter, req *http.Request) {
		reply.Error(w, http.StatusNotFound, fmt.Errorf("nothing at %s", req.URL.Path))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		reply.NotAllowed(w, fmt.Errorf("%s does not take %s", req.URL.Path, req.Method), methods(r, req)...)
	})
	return r
}

// methods are those that a request's path takes.
func methods(r chi.Routes, req *http.Request) []string {
	path := req.URL.RawPath
	if path == "" {
		path = req.URL.Path
	}
	for _, mounted := range r.Routes() { // a router at its root takes, as Match sees it, everything
		if mounted.SubRoutes != nil && mounted.Pattern == path+"/*" {
			r, path = mounted.SubRoutes, "/"
			break
		}
	}
	var list []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if r.Match(chi.NewRouteContext(), method, path) {
			list = append(list, method)
		}
	}
	if slices.Contains(list, http.MethodGet) {
		list = append(list, http.MethodHead)
	}
	return list
}

// headIsGet answers HEAD as GET, whose body is then not sent.
func headIsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodHead {
			chi.RouteContext(req.Context()).RouteMethod = http.MethodGet
		}
		next.ServeHTTP(w, req)
	})
}
