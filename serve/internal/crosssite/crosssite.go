// Package crosssite limits what other sites' pages can do in people's browsers: only the origins that the
// server allows may call it.
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
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// Valid returns an error unless origin is SCHEME://HOST[:PORT], where HOST may begin with "*.", or "*" for
// all.
func Valid(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := url.Parse(strings.Replace(origin, "://*.", "://", 1))
	if err != nil || u.Scheme == "" || u.Host == "" || u.String() != u.Scheme+"://"+u.Host || strings.Contains(u.Host, "*") {
		return fmt.Errorf("%q is not an origin: give SCHEME://HOST[:PORT], such as https://example.com, or * for all", origin)
	}
	return nil
}

// CORS lets the web pages of origins call the server. It never asks for cookies or other credentials of
// the browser.
func CORS(origins []string) *cors.Cors {
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate", "X-Request-Id"},
		MaxAge:         600,
	})
}

// HTTP returns middleware that refuses requests that a browser sends for another site's page. It passes on
// those of origins, and links to pages, which are for people.
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

// crossSite matches requests that a browser sends for another site's page.
type crossSite struct {
	trusted func(*http.Request) bool // pages that may call; nil for none
	pages   []string                 // paths that links on other sites may lead to
}

var errCrossSite = errors.New("pages of another site may not call this server; --cors ORIGIN allows one on the ports for clients")

// check relies on headers that pages cannot forge. Browsers send Sec-Fetch-Site with every request to
// https and to the loopback, and Origin with every POST and every request whose answer a page could read.
// A request with neither was not sent for a page, or is a GET over plain HTTP whose answer the page cannot
// read.
func (c crossSite) check(req *http.Request) error {
	site, origin := served.Header(req.Header, "Sec-Fetch-Site"), served.Header(req.Header, "Origin")
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

// ofHost reports whether an origin is the requested host.
func ofHost(origin, host string) bool {
	_, name, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(name, host)
}

var noSniff = []string{"nosniff"}

// NoSniff tells browsers to trust an answer's Content-Type.
func NoSniff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header()["X-Content-Type-Options"] = noSniff
		next.ServeHTTP(w, req)
	})
}
