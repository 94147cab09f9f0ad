// Package openapi describes a server's models: as an OpenAPI 3.1 document for machines, and
// as a page for people.
//
// The document is made for the models that are loaded when it is asked for: each has paths of
// its own, whose schemas say the names, types and shapes of its inputs and outputs, its labels
// and the pictures that it takes. What JSON Schema cannot say, such as that data has as many
// elements as shape asks for, is left to the server's 400.
package openapi

import (
	"net/http"
	"regexp"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Models knows the models, as [repository.Repository] does.
type Models interface {
	// Status returns every version that is known, by name and version.
	Status() []repository.Status
}

// Routes adds /openapi.json and /docs to r, of what protocols offer. locked says which paths ask for a key; nil for a server
// that asks for none.
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

// address is the server as the client wrote it, for commands to copy.
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
