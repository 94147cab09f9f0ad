package serve

// What the pages in people's browsers may do.

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"

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

// crossOrigin lets web pages of origins call the server. No cookie or other credential of the
// browser's own is ever asked for.
func crossOrigin(origins []string) func(http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate", "X-Request-Id"},
		MaxAge:         600,
	}).Handler
}

// sameOrigin refuses what a page of another origin makes a browser send. Browsers send a POST
// without asking first; an operator's must not unload models for any page that is open in it.
func sameOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reply.Error(w, http.StatusForbidden, errors.New("pages of another origin may not call the admin port"))
	}))
	return p.Handler(next)
}

// unsniffed tells browsers to take an answer for nothing but what its type says.
func unsniffed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, req)
	})
}
