package oip

// The REST routes, except for infer.

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

type handler struct {
	models  Models
	manager Manager
}

// Handler serves the paths below /v2. manager is for the operators' port. If it is nil, the handler
// refuses to load and unload models with 403.
func Handler(models Models, manager Manager) http.Handler {
	h := handler{models, manager}
	r := chi.NewRouter()
	r.Get("/", h.server)
	r.Get("/health/live", h.live)
	r.Get("/health/ready", h.ready)
	r.Post("/repository/index", h.index)
	r.Post("/repository/models/{name}/load", h.change(Manager.Load))
	r.Post("/repository/models/{name}/unload", h.change(Manager.Unload))
	r.Get("/models", h.list)
	r.Get("/models/stats", h.stats)
	for _, at := range []string{"/models/{name}", "/models/{name}/versions/{version}"} {
		r.Get(at, h.withModel(h.metadata))
		r.Get(at+"/ready", h.modelReady)
		r.Get(at+"/config", h.withModel(h.config))
		r.Get(at+"/stats", h.stats)
		r.Post(at+"/infer", h.withModel(h.infer))
	}
	return r
}

// live answers 200 once the server listens, which is before its models are loaded.
func (h handler) live(w http.ResponseWriter, _ *http.Request) {
	reply.JSON(w, http.StatusOK, map[string]bool{"live": true})
}

func (h handler) ready(w http.ResponseWriter, _ *http.Request) {
	status, ready := http.StatusOK, h.models.Ready()
	if !ready {
		status = http.StatusServiceUnavailable
	}
	reply.JSON(w, status, map[string]bool{"ready": ready})
}

// list returns the names of the models, like KServe.
func (h handler) list(w http.ResponseWriter, _ *http.Request) {
	reply.JSON(w, http.StatusOK, map[string][]string{"models": repository.Names(h.models.Status())})
}

func (h handler) server(w http.ResponseWriter, _ *http.Request) {
	reply.JSON(w, http.StatusOK, map[string]any{"name": "forgo", "version": forgo.Version(), "extensions": extensions})
}

func (h handler) withModel(next func(http.ResponseWriter, *http.Request, *served.Model)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		h.with(w, req, chi.URLParam(req, "name"), chi.URLParam(req, "version"), next)
	}
}

func (h handler) with(w http.ResponseWriter, req *http.Request, name, version string, next func(http.ResponseWriter, *http.Request, *served.Model)) {
	model, err := h.models.Get(name, version)
	if err != nil {
		reply.Failure(w, err)
		return
	}
	defer model.Release()
	next(w, req, model)
}

// Answers about readiness. They need no key, so they reveal no path, version or reason.
var (
	errNoSuchModel = errors.New("no such model or version")
	errNotReady    = errors.New("not ready")
)

func (h handler) modelReady(w http.ResponseWriter, req *http.Request) {
	name := chi.URLParam(req, "name")
	model, err := h.models.Get(name, chi.URLParam(req, "version"))
	switch {
	case errors.Is(err, served.ErrNotFound):
		reply.Error(w, http.StatusNotFound, errNoSuchModel)
		return
	case err != nil:
		reply.Error(w, http.StatusServiceUnavailable, errNotReady)
		return
	}
	model.Release()
	if h.models.Stopping() {
		reply.Error(w, http.StatusServiceUnavailable, errNotReady)
		return
	}
	reply.JSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
}

func (h handler) metadata(w http.ResponseWriter, _ *http.Request, m *served.Model) {
	inputs, outputs := metadata(m)
	manifest := m.Manifest()
	parameters := map[string]any{"digest": m.Digest(), "labels": manifest.Labels, "parity": m.Parity(), "engine": m.Engine().Info.Name}
	if p := manifest.Picture; p != nil {
		parameters["picture"] = picture{Accept: p.Accept, Formats: manifest.Provenance.Formats, Alpha: p.Alpha, Rules: p.Rules}
	}
	if len(manifest.Columns) > 0 {
		parameters["columns"] = manifest.Columns
	}
	reply.JSON(w, http.StatusOK, map[string]any{
		"name": m.Name, "versions": versions(h.models, m.Name), "platform": m.Engine().Info.Format.Platform,
		"inputs": inputs, "outputs": outputs,
		"parameters": parameters,
	})
}

// picture is the metadata about the pictures that a model takes.
type picture struct {
	Accept  []string      `json:"accept"`
	Formats []string      `json:"formats,omitempty"` // that training saw
	Alpha   string        `json:"alpha,omitempty"`
	Rules   *bundle.Rules `json:"rules,omitempty"`
}

func versions(models Models, name string) []string {
	var list []string
	for _, m := range ready(models) {
		if m.Name == name {
			list = append(list, m.Version)
		}
	}
	return list
}
