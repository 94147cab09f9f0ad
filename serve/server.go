// Package serve answers over HTTP with verified models.
//
// One folder below is one protocol: oip speaks the Open Inference Protocol v2, native takes
// the thing itself (a picture, a JSON row) and gives the labelled answer. All of them call
// the same [predict.Model].
package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/native"
	"github.com/forgo-ml/forgo/serve/oip"
)

// Options configure a server. The zero value is useful.
type Options struct {
	// MaxBody bounds a request's body in bytes. Optional: 32 MiB.
	MaxBody int64
	// Log receives what operators should know. Optional: slog.Default().
	Log *slog.Logger
}

// Models are the models that a server offers, by name. It must not be changed while served.
type Models map[string]*predict.Model

// Get returns a model; version is "" or the one version there is, "1".
func (m Models) Get(name, version string) (*predict.Model, error) {
	model, ok := m[name]
	if !ok {
		return nil, fmt.Errorf("there is no model %q", name)
	}
	if version != "" && version != Version {
		return nil, fmt.Errorf("model %q has no version %q, only %q", name, version, Version)
	}
	return model, nil
}

// Version is what a model served from a single bundle calls its version.
const Version = "1"

// Handler returns the HTTP handler of all protocols. It is safe for concurrent use.
func Handler(models Models, o Options) http.Handler {
	if o.MaxBody == 0 {
		o.MaxBody = 32 << 20
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	r := chi.NewRouter()
	r.Use(recovered(o.Log), limited(o.MaxBody))
	r.NotFound(func(w http.ResponseWriter, req *http.Request) {
		reply.Error(w, http.StatusNotFound, fmt.Errorf("there is nothing at %s", req.URL.Path))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		reply.Error(w, http.StatusMethodNotAllowed, fmt.Errorf("%s does not take %s", req.URL.Path, req.Method))
	})
	r.Mount("/v2", oip.Handler(models, Version))
	r.Mount("/models", native.Handler(models))
	return r
}

// recovered turns a panic into a 500 for that request alone.
func recovered(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			defer func() {
				if p := recover(); p != nil {
					log.Error("request failed", "path", req.URL.Path, "panic", p, "stack", string(debug.Stack()))
					reply.Error(w, http.StatusInternalServerError, fmt.Errorf("internal error; the server's log has it"))
				}
			}()
			next.ServeHTTP(w, req)
		})
	}
}

func limited(limit int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			req.Body = http.MaxBytesReader(w, req.Body, limit)
			next.ServeHTTP(w, req)
		})
	}
}
