package serve

// What the pages in people's browsers may do.

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// CheckOrigin refuses what is no origin of web pages: SCHEME://HOST[:PORT], where HOST may begin
// with *., or * for all.
func CheckOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := url.Parse(strings.Replace(origin, "://*.", "://", 1))
	if err != nil || u.Scheme == "" || u.Host == "" || u.String() != u.Scheme+"://"+u.Host || strings.Contains(u.Host, "*") {
		return fmt.Errorf("%q is no origin: give SCHEME://HOST[:PORT], as https://example.com, or * for all", origin)
	}
	return nil
}

// newCORS lets web pages of origins call the server. No cookie or other credential of the
// browser's own is ever asked for.
func newCORS(origins []string) *cors.Cors {
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate", "X-Request-Id"},
		MaxAge:         600,
	})
}

// guard refuses what a page in a browser makes it send: to a name that is not the server's, or
// from another site.
type guard struct {
	hosts
	crossSite
}

// newGuard is for a port of operators, which no page of another site may call, or one of clients.
func (s *Server) newGuard(admin bool) guard {
	g := guard{hosts: newHosts(s.options, admin)}
	if admin {
		return g
	}
	g.hosts.off = s.options.Keys != nil && len(s.options.Hosts) == 0
	g.pages = pages
	if len(s.options.Origins) > 0 {
		allowed, any := newCORS(s.options.Origins), slices.Contains(s.options.Origins, "*")
		g.trusted = func(req *http.Request) bool {
			return any || req.Header.Get("Origin") != "" && allowed.OriginAllowed(req)
		}
	}
	return g
}

func (g guard) check(req *http.Request) error {
	if err := g.hosts.check(req); err != nil {
		return err
	}
	return g.crossSite.check(req)
}

func (g guard) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := g.check(req); err != nil {
			observe.Of(w).From = req.RemoteAddr
			reply.Error(w, http.StatusForbidden, err)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// unsniffed tells browsers to take an answer for nothing but what its type says.
func unsniffed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, req)
	})
}
