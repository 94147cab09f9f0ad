package oip

// The model repository and statistics extensions over REST.

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

var (
	errNotHere    = errors.New("this port does not load or unload models; use the admin port")
	errNoOverride = errors.New("a model loads from its folder as it is; send no parameters")
)

type indexEntry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
}

// index lists the known versions. {"ready": true} keeps those that are ready.
func (h handler) index(w http.ResponseWriter, req *http.Request) {
	onlyReady := false
	err := object(req, "repository index", func(r *payload.Reader, name string) (err error) {
		if name == "ready" {
			onlyReady, err = r.Bool()
			return err
		}
		_, err = r.Raw()
		return err
	})
	if err != nil {
		reply.Failure(w, err)
		return
	}
	list := []indexEntry{}
	for _, m := range h.models.Status() {
		if m.State == repository.Ready || !onlyReady {
			list = append(list, indexEntry{m.Name, m.Version, string(m.State), m.Reason})
		}
	}
	reply.JSON(w, http.StatusOK, list)
}

// small refuses to reserve memory, since requests that run no model are short.
type small struct{}

func (small) Grow(bytes int64) error {
	if bytes > 1<<20 {
		return served.BadInput("the body is longer than 1 MiB, the limit for requests that run no model")
	}
	return nil
}

// object reads a body that is a JSON object or empty.
func object(req *http.Request, kind string, field func(r *payload.Reader, name string) error) error {
	body, free, err := bodies.Read(req, small{})
	if err != nil {
		return err
	}
	defer free()
	r := payload.New(body)
	if r.End() == nil { // nothing but spaces
		return nil
	}
	if err = r.Object(func(name string) error { return field(r, name) }); err == nil {
		err = r.End()
	}
	if err != nil {
		return served.BadInput("the body is not a %s request: %w", kind, err)
	}
	return nil
}

// change loads or unloads a model, on the admin port.
func (h handler) change(how func(Manager, context.Context, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if h.manager == nil {
			reply.Error(w, http.StatusForbidden, errNotHere)
			return
		}
		err := object(req, "repository load or unload", func(r *payload.Reader, name string) error {
			if name != "parameters" {
				_, err := r.Raw()
				return err
			}
			return r.Object(func(name string) error {
				if name == "unload_dependents" { // there are no dependents
					_, err := r.Raw()
					return err
				}
				return fmt.Errorf("parameters: %s: %w", name, errNoOverride)
			})
		})
		if err == nil {
			// The client may disconnect, but a change is never left half done.
			err = how(h.manager, context.WithoutCancel(req.Context()), chi.URLParam(req, "name"))
		}
		switch {
		case err == nil:
			reply.Bytes(w, http.StatusOK, nil)
		case errors.Is(err, repository.ErrFixed):
			reply.Error(w, http.StatusNotImplemented, err)
		case errors.Is(err, served.ErrNotFound) || errors.Is(err, predict.ErrInput):
			reply.Failure(w, err)
		default: // the bundle is at fault, which is neither the request nor the server
			reply.Error(w, http.StatusConflict, err)
		}
	}
}

type modelStats struct {
	Name           string                     `json:"name"`
	Version        string                     `json:"version"`
	LastInference  int64                      `json:"last_inference"`
	InferenceCount uint64                     `json:"inference_count"`
	ExecutionCount uint64                     `json:"execution_count"`
	InferenceStats map[string]served.Duration `json:"inference_stats"`
	BatchStats     []batchStats               `json:"batch_stats"`
}

// batchStats are the runs of one size. Inputs and outputs belong to calls rather than batches, and are not
// counted here.
type batchStats struct {
	Size   int             `json:"batch_size"`
	Input  served.Duration `json:"compute_input"`
	Infer  served.Duration `json:"compute_infer"`
	Output served.Duration `json:"compute_output"`
}

func statsOf(m *served.Model) modelStats {
	s := m.Calls()
	out := modelStats{
		Name: m.Name, Version: m.Version, InferenceCount: s.Inferences,
		InferenceStats: map[string]served.Duration{
			"success": s.Success, "fail": s.Fail, "queue": s.Queue, "compute_input": s.Input,
			"compute_infer": s.Infer, "compute_output": s.Output, "cache_hit": {}, "cache_miss": {},
		},
		BatchStats: []batchStats{},
	}
	for _, b := range m.Stats().Batches {
		out.ExecutionCount += b.Runs
		out.BatchStats = append(out.BatchStats, batchStats{Size: b.Rows, Infer: served.Duration{Count: b.Runs, NS: b.Infer}})
	}
	if !s.LastInference.IsZero() {
		out.LastInference = s.LastInference.UnixMilli()
	}
	return out
}

// allStats lists the versions that answer: of all models, of one model, or one version of it.
func allStats(models Models, name, version string) ([]modelStats, error) {
	list := []modelStats{}
	for _, m := range ready(models) {
		if (name == "" || name == m.Name) && (version == "" || version == m.Version) {
			list = append(list, statsOf(m))
		}
	}
	if name != "" && len(list) == 0 {
		m, err := models.Get(name, version)
		if err != nil {
			return nil, err
		}
		defer m.Release()
		list = append(list, statsOf(m)) // it has become ready since
	}
	return list, nil
}

func (h handler) stats(w http.ResponseWriter, req *http.Request) {
	list, err := allStats(h.models, chi.URLParam(req, "name"), chi.URLParam(req, "version"))
	if err != nil {
		reply.Failure(w, err)
		return
	}
	reply.JSON(w, http.StatusOK, map[string]any{"model_stats": list})
}
