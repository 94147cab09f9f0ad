// Package crosssite says what the pages of other sites, in people's browsers, may do: nothing, but those
// of the origins that the server allows.
package crosssite

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// Valid refuses what is no origin of web pages: SCHEME://HOST[:PORT], where HOST may begin
// with *., or * for all.
func Valid(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := url.Parse(strings.Replace(origin, "://*.", "://", 1))
	if err != nil || u.Scheme == "" || u.Host == "" || u.String() != u.Scheme+"://"+u.Host || strings.Contains(u.Host, "*") {
		return fmt.Errorf("%q is not an origin: give SCHEME://HOST[:PORT], as https://example.com, or * for all", origin)
	}
	return nil
}

// CORS lets web pages of origins call the server. No cookie or other credential of the
// browser's own is ever asked for.
func CORS(origins []string) *cors.Cors {
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate", "X-Request-Id"},
		MaxAge:         600,
	})
}

// HTTP refuses requests that a browser sends for a page of another site, but for pages of origins and
// for links to the paths of pages that people read.
func HTTP(origins, pages []string) func(http.Handler) http.Handler {
	c := crossSite{pages: pages}
	if len(origins) > 0 {
		allowed, all := CORS(origins), slices.Contains(origins, "*")
		c.trusted = func(req *http.Request) bool {
			return all || req.Header.Get("Origin") != "" && allowed.OriginAllowed(req)
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if err := c.check(req); err != nil {
				reply.Forbidden(w, req, err)
				return
			}
			next.ServeHTTP(w, req)
		})
	}
}

// crossSite are requests that a browser sends for a page of another site.
type crossSite struct {
	trusted func(*http.Request) bool // pages that may call; nil for none
	pages   []string                 // paths that links on other sites may lead to
}

var errCrossSite = errors.New("pages of another site may not call this server; --cors ORIGIN allows one on the ports for clients")

// check goes by what browsers say and pages cannot forge. Sec-Fetch-Site comes with every request
// to https and to the loopback, Origin with every POST and with what a page would read. What comes
// with neither was not sent for a page, or is a GET over plain HTTP whose answer the page cannot read.
func (c crossSite) check(req *http.Request) error {
	site, origin := req.Header.Get("Sec-Fetch-Site"), req.Header.Get("Origin")
	switch {
	case site == "same-origin", site == "none" && origin == "", site == "" && origin == "":
		return nil
	case site == "" && ofHost(origin, req.Host):
		return nil
	case c.trusted != nil && c.trusted(req):
		return nil
	case req.Method == http.MethodGet && slices.Contains(c.pages, req.URL.Path) &&
		req.Header.Get("Sec-Fetch-Mode") == "navigate" && req.Header.Get("Sec-Fetch-Dest") == "document":
		return nil
	}
	return errCrossSite
}

// ofHost says whether an origin is the host that was asked.
func ofHost(origin, host string) bool {
	_, name, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(name, host)
}

var noSniff = []string{"nosniff"}

// NoSniff tells browsers to take an answer for nothing but what its type says.
func NoSniff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header()["X-Content-Type-Options"] = noSniff
		next.ServeHTTP(w, req)
	})
}
