package oip

// The model repository and statistics extensions over REST.

import (
	"errors"
	"net/http"

	"github.com/forgo-ml/forgo/internal/scan"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

var (
	errNotHere = errors.New("models are not loaded or unloaded on this port; ask on the admin port")
	errFixed   = errors.New("this server answers with the models that it was started with; start it again to change them")
)

type indexEntry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
}

// index lists the models. {"ready": true} keeps the ready ones, as all that are served are.
func (h handler) index(w http.ResponseWriter, req *http.Request) {
	body, free, err := reply.Body(req)
	if err != nil {
		reply.Failure(w, err)
		return
	}
	defer free()
	r := scan.New(body)
	if r.Peek() != 0 {
		err := r.Object(func(name string) error {
			if name == "ready" {
				_, err := r.Bool()
				return err
			}
			_, err := r.Raw()
			return err
		})
		if err == nil {
			err = r.End()
		}
		if err != nil {
			reply.Failure(w, served.BadInput("the body is not a repository index request: %w", err))
			return
		}
	}
	list := []indexEntry{}
	for _, m := range h.models.All() {
		list = append(list, indexEntry{m.Name, m.Version, "READY", ""})
	}
	reply.JSON(w, http.StatusOK, list)
}

// change refuses to load and unload: elsewhere than on the admin port always.
func (h handler) change(w http.ResponseWriter, _ *http.Request) {
	if !h.manage {
		reply.Error(w, http.StatusForbidden, errNotHere)
		return
	}
	reply.Error(w, http.StatusNotImplemented, errFixed)
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

// batchStats are the runs of one size. Inputs and outputs are a call's, not a batch's, and
// not counted here.
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

func (h handler) stats(w http.ResponseWriter, _ *http.Request, m *served.Model) {
	reply.JSON(w, http.StatusOK, map[string]any{"model_stats": []modelStats{statsOf(m)}})
}

func (h handler) allStats(w http.ResponseWriter, _ *http.Request) {
	list := []modelStats{}
	for _, m := range h.models.All() {
		list = append(list, statsOf(m))
	}
	reply.JSON(w, http.StatusOK, map[string]any{"model_stats": list})
}
