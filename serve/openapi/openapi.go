// Package openapi describes a server's models as an OpenAPI 3.1 document for machines, and as a page for
// people.
//
// The document covers the models that are loaded when it is requested. Each has its own paths, with
// schemas for the names, types and shapes of its inputs and outputs, its labels and its pictures. JSON
// Schema cannot express everything: the server's 400 covers, for example, data that has fewer elements
// than shape says.
package openapi

import (
	"net/http"
	"regexp"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Models lists the models, like [repository.Repository].
type Models interface {
	// Status returns every known version, by name and version.
	Status() []repository.Status
}

// Routes adds /openapi.json and /docs for the protocols to r. locked reports whether a path needs a key,
// and is nil if the server has none.
func Routes(r chi.Router, models Models, protocols []Protocol, locked func(path string) bool) {
	r.Get("/openapi.json", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // models come and go
		reply.JSON(w, http.StatusOK, Describe(models, protocols, address(req), locked))
	})
	r.Get("/docs", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		describe(models, protocols, address(req), locked).writePage(w)
	})
}

var plainHost = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]+$`)

// address returns the server's address as the client wrote it, for commands to copy.
func address(req *http.Request) string {
	scheme, host := "http", req.Host
	if req.TLS != nil || req.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	if !plainHost.MatchString(host) {
		host = "localhost:8080"
	}
	return scheme + "://" + host
}
