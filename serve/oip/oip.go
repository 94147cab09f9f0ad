// Package oip speaks the Open Inference Protocol v2 over REST
// (https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol):
// health, metadata and infer, in JSON.
package oip

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

// Models finds a model by name and version; "" is the version that is served.
type Models interface {
	Get(name, version string) (*predict.Model, error)
}

// Picture is the BYTES input that a picture model takes encoded pictures by.
const Picture = "image"

type handler struct {
	models  Models
	version string
}

// Handler serves what lies below /v2. version is the one that models have.
func Handler(models Models, version string) http.Handler {
	h := handler{models, version}
	r := chi.NewRouter()
	r.Get("/", h.server)
	r.Get("/health/live", health("live"))
	r.Get("/health/ready", health("ready"))
	for _, at := range []string{"/models/{name}", "/models/{name}/versions/{version}"} {
		r.Get(at, h.withModel(h.metadata))
		r.Get(at+"/ready", h.withModel(h.ready))
		r.Post(at+"/infer", h.withModel(h.infer))
	}
	return r
}

// health answers 200 once the server runs: it starts only after its models are verified.
func health(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		reply.JSON(w, http.StatusOK, map[string]bool{kind: true})
	}
}

func (h handler) server(w http.ResponseWriter, _ *http.Request) {
	reply.JSON(w, http.StatusOK, map[string]any{"name": "forgo", "version": forgo.Version(), "extensions": []string{}})
}

func (h handler) withModel(next func(http.ResponseWriter, *http.Request, string, *predict.Model)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		name := chi.URLParam(req, "name")
		model, err := h.models.Get(name, chi.URLParam(req, "version"))
		if err != nil {
			reply.Error(w, http.StatusNotFound, err)
			return
		}
		next(w, req, name, model)
	}
}

func (h handler) ready(w http.ResponseWriter, _ *http.Request, name string, _ *predict.Model) {
	reply.JSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
}

type tensorMetadata struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

func (h handler) metadata(w http.ResponseWriter, _ *http.Request, name string, model *predict.Model) {
	m := model.Manifest()
	var inputs, outputs []tensorMetadata
	if m.Picture != nil {
		inputs = []tensorMetadata{{Picture, "BYTES", []int64{-1}}}
	} else {
		for _, i := range m.Inputs {
			inputs = append(inputs, tensorMetadata{i.Name, datatypes[i.DType], i.Spec().Shape})
		}
	}
	for _, o := range m.Outputs {
		outputs = append(outputs, tensorMetadata{o.Name, datatypes[o.DType], o.Spec().Shape})
	}
	reply.JSON(w, http.StatusOK, map[string]any{
		"name": name, "versions": []string{h.version}, "platform": "forgo_" + m.Engine,
		"inputs": inputs, "outputs": outputs,
		"parameters": map[string]any{"digest": model.Digest(), "labels": m.Labels, "parity": model.Parity()},
	})
}

// datatypes are the protocol's names for element types.
var datatypes = map[tensor.DType]string{
	tensor.Bool: "BOOL", tensor.String: "BYTES",
	tensor.Int8: "INT8", tensor.Int16: "INT16", tensor.Int32: "INT32", tensor.Int64: "INT64",
	tensor.Uint8: "UINT8", tensor.Uint16: "UINT16", tensor.Uint32: "UINT32", tensor.Uint64: "UINT64",
	tensor.Float16: "FP16", tensor.BFloat16: "BF16", tensor.Float32: "FP32", tensor.Float64: "FP64",
}
