// Package serve serves verified models over HTTP and gRPC.
//
// Each folder below is one protocol. oip speaks the Open Inference Protocol v2, and tfserving speaks
// TensorFlow Serving's API, both over REST and gRPC. native takes a picture, JSON rows or a CSV as they
// are and returns the labelled answer. All protocols call the same [predict.Model]. openapi describes what
// they offer.
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

// Limits bound one request, beyond the length of its body.
type Limits = served.Limits

// DefaultMaxBody applies if [Options.MaxBody] is 0, in bytes.
const DefaultMaxBody = 32 << 20

// DefaultDrain applies if [Options.Drain] is 0.
const DefaultDrain = 30 * time.Second

// DefaultLimits apply to the fields of [Limits] that are 0.
var DefaultLimits = served.DefaultLimits

// Options configure a server. The zero value is useful.
type Options struct {
	// Protocols are the ways to call the server. Optional: [Protocols].
	Protocols []protocol.Protocol
	// MaxBody bounds a request's body in bytes, both as sent and after decompression. Optional: 32 MiB.
	MaxBody int64
	// Limits bound each request to the models of [New]. A repository has its own.
	Limits
	// ClientTimeout bounds the time that a client takes to send a request's headers, to send its body, and
	// to read the answer, each. A body or an answer gets one more second for each 64 KiB. Optional: 20 s.
	ClientTimeout time.Duration
	// MaxConnections bounds the connections to each address. All connections together may also take at
	// most a quarter of Memory, at 24 KiB each or 48 KiB with TLS. Beyond a limit, the server closes
	// connections without requests first, then those that are slowest to send a request or read an answer.
	// Among these, it starts with the client that has the most connections. Optional: 8192.
	MaxConnections int
	// Memory bounds the memory of all requests together. The models share it if it is their
	// predict.Options.Budget, too. Optional: the queue of each model bounds its own requests.
	Memory *predict.Budget
	// Keys are the API keys that every endpoint except health requires. Serve keeps them up to date; a
	// caller that uses only the handlers calls access.Watch. Optional: without keys, anyone may call.
	Keys *access.Keys
	// TLS holds the certificates for every address except a Unix socket. Optional: without it, nothing is
	// encrypted.
	TLS *access.Certificates
	// PlainAdmin turns TLS off on the admin port, for a port that only this machine reaches.
	PlainAdmin bool
	// Origins lists the origins whose web pages may call over HTTP, as [CheckOrigin] accepts them.
	// Optional: only the server's own pages.
	Origins []string
	// Hosts lists names of the server, as [CheckHost] accepts them, apart from localhost and its own
	// address. The server checks the Host header on every port if Hosts is set. Otherwise it does so on
	// the admin port and, without Keys, on client ports that listen on the loopback. Optional.
	Hosts []string
	// NoProfiles removes Go's profiles and variables at /debug from the admin port.
	NoProfiles bool
	// Drain bounds the time for the requests under way once the server stops. After it, the server closes
	// their connections. Optional: 30 s.
	Drain time.Duration
	// ShutdownDelay is how long a stopping server accepts new connections, so that load balancers can see
	// that it is not ready and send clients elsewhere. Optional: 0.
	ShutdownDelay time.Duration
	// Log receives messages for operators. Optional: slog.Default().
	Log *slog.Logger
	// LogDropped returns the number of lost lines of Log, for the metrics. Optional.
	LogDropped func() uint64
	// Traces makes a span for each inference request, with the caller's span as parent. Optional: no
	// spans, at no cost.
	Traces trace.TracerProvider
}

// CheckOrigin returns an error unless origin is valid in Options.Origins: SCHEME://HOST[:PORT], where HOST
// may begin with "*.", or "*" for all.
func CheckOrigin(origin string) error { return crosssite.Valid(origin) }

// CheckHost returns an error unless host is valid in [Options.Hosts]: NAME, *.NAME for all names below it,
// an address, or "*" for all.
func CheckHost(host string) error { return hosts.Valid(host) }

// Server serves models over HTTP and gRPC. It is safe for concurrent use.
type Server struct {
	models    *repository.Repository
	options   Options
	protocols protocol.Set
	health    *health.Server
	observer  *observe.Observer

	clients, operators drain.Traffic
	table              *connection.Table
}

// Models maps names to models.
type Models map[string]*predict.Model

// New returns a server for models, each as its version 1. The caller closes them after the server has
// stopped.
func New(models Models, o Options) *Server {
	return Repository(repository.Fixed(models, o.Limits), o)
}

// Repository returns a server for the models of a repository. The caller closes the repository after the
// server has stopped.
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

// state returns what metrics report of a server.
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

// Handler returns the handler for clients over HTTP, in every protocol.
func (s *Server) Handler() http.Handler {
	r := router()
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
	return s.observer.TraceHTTP(s.guarded(r, false))
}

// Admin returns the handler for operators. It serves what clients may call in the Open Inference Protocol
// and the operators' part of its repository extension, over HTTP and gRPC on the same port; Prometheus
// metrics at /metrics; and Go's profiles at /debug/pprof/. For gRPC, the HTTP server must speak HTTP/2
// without TLS.
func (s *Server) Admin() http.Handler {
	r := s.observer.TraceHTTP(s.guarded(s.adminRouter(), true))
	rpc := s.rpc(true) // gRPC traces its calls itself
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		// No guard: a page cannot make a browser speak HTTP/2 without TLS, nor send this type unasked.
		if req.ProtoMajor == 2 && strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
			s.overAdmin(rpc, w, req)
			return
		}
		r.ServeHTTP(w, req)
	})
}

// with returns what protocols answer with.
func (s *Server) with(operators bool) protocol.Server {
	return protocol.Server{Models: s.models, Operators: operators, MaxBody: s.options.MaxBody}
}

func (s *Server) rights(operators bool) authorization.Rights {
	return authorization.Rights{Protocols: s.protocols, Operators: operators, Metrics: metricsPaths}
}

// pages are for people. Links on other sites may lead to them.
var pages = []string{"/", "/docs"}

// metricsPaths serve metrics. The second is TensorFlow Serving's, so that its scrapers need only another
// port.
var metricsPaths = []string{"/metrics", "/monitoring/prometheus/metrics"}

func (s *Server) adminRouter() chi.Router {
	r := router()
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

// Reload reads keys and certificates again if their files have changed.
func (s *Server) Reload() { access.Reload(s.options.Log, s.options.reloaders()...) }

// Drain makes the server report that it is not ready, so that load balancers stop sending requests. The
// server still answers requests that arrive.
func (s *Server) Drain() {
	s.clients.Stop()
	s.operators.Stop()
	s.models.Stop()
	s.health.Shutdown()
}

// traffic returns the traffic of the admin port, or of the client ports.
func (s *Server) traffic(admin bool) *drain.Traffic {
	if admin {
		return &s.operators
	}
	return &s.clients
}

// guarded is a router behind what the server does to every request.
type guarded struct {
	chi.Router
	first http.Handler
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, req *http.Request) { g.first.ServeHTTP(w, req) }

// guarded returns a router behind what the server does to every request.
func (s *Server) guarded(r chi.Router, admin bool) *guarded {
	o := s.options
	var origins, linked []string // no page of another site may call operators' ports
	if !admin {
		origins, linked = o.Origins, pages
	}
	steps := []func(http.Handler) http.Handler{
		s.traffic(admin).HTTP(o.ClientTimeout),
		bodies.Limit(o.MaxBody),
		minrate.HTTP(o.ClientTimeout),
		crosssite.NoSniff,
		s.observer.HTTP,
		recovery.HTTP(o.Log),
	}
	if len(origins) > 0 {
		steps = append(steps, crosssite.CORS(origins).Handler)
	}
	steps = append(steps,
		hosts.HTTP(hosts.Options{Allowed: o.Hosts, Operators: admin, Keys: o.Keys != nil}),
		crosssite.HTTP(origins, linked),
	)
	if o.Keys != nil {
		steps = append(steps, authorization.HTTP(o.Keys, s.rights(admin)))
	}
	steps = append(steps, compress.HTTP(o.MaxBody, s.protocols.Compresses))
	h := s.routed(r, admin)
	for _, step := range slices.Backward(steps) {
		h = step(h)
	}
	return &guarded{r, h}
}

// routed returns a handler that passes requests to the protocols: directly, or through the router.
func (s *Server) routed(r chi.Router, admin bool) http.Handler {
	var direct []func(http.ResponseWriter, *http.Request) bool
	for _, p := range s.protocols {
		if p.HTTP.Direct != nil && (p.HTTP.Operators || !admin) {
			direct = append(direct, p.HTTP.Direct(s.with(admin)))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost && req.URL.RawPath == "" {
			for _, answered := range direct {
				if answered(w, req) {
					return
				}
			}
		}
		r.ServeHTTP(w, req)
	})
}

func router() chi.Router {
	r := chi.NewRouter()
	r.Use(headIsGet)
	r.NotFound(func(w http.ResponseWriter, req *http.Request) {
		reply.Error(w, http.StatusNotFound, fmt.Errorf("nothing at %s", req.URL.Path))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		reply.NotAllowed(w, fmt.Errorf("%s does not take %s", req.URL.Path, req.Method), methods(r, req)...)
	})
	return r
}

// methods returns the methods that a request's path accepts.
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

// headIsGet answers HEAD as GET, without the body. It also records the route.
func headIsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		route := chi.RouteContext(req.Context())
		if req.Method == http.MethodHead {
			route.RouteMethod = http.MethodGet
		}
		defer func() { observe.Route(w, route.RoutePattern()) }()
		next.ServeHTTP(w, req)
	})
}
