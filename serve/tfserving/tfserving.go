// Package tfserving speaks TensorFlow Serving's REST API, version 1
// (https://www.tensorflow.org/tfx/serving/api_rest), and its gRPC services: status, metadata, predict,
// classify and regress.
//
// The name of a model's own signature is serving_default and, if different, its name in the SavedModel.
// Other signatures of the bundle keep their names. A classifier's signature has only its probabilities as
// output, so that predictions are bare rows of them. Another model's has all its outputs.
package tfserving

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Models finds models, like [repository.Repository]. The caller releases what Get and Labelled return.
// Their errors are served.ErrNotFound or served.ErrNotReady.
type Models interface {
	Get(name, version string) (*served.Model, error)
	Labelled(name, label string) (*served.Model, error)
	Status() []repository.Status
}

// Picture is the string input that takes a model's encoded pictures.
const Picture = bundle.PictureName

// Signature is the default name of a model's own signature.
const Signature = "serving_default"

// Method returns TensorFlow's name for the method of a signature, given the verb.
func Method(verb string) string { return "tensorflow/serving/" + verb }

type handler struct{ models Models }

// Handler serves the paths below /v1.
func Handler(models Models) http.Handler {
	h := handler{models}
	r := chi.NewRouter()
	r.Get("/models", h.list)
	r.Get("/models/*", h.get)
	r.Post("/models/*", h.post)
	r.MethodNotAllowed(notAllowed)
	return r
}

// list returns the names of the models, like version 1 of KServe's protocol.
func (h handler) list(w http.ResponseWriter, _ *http.Request) {
	reply.JSON(w, http.StatusOK, map[string][]string{"models": repository.Names(h.models.Status())})
}

// notAllowed refuses a method: PATH needs GET, and PATH:VERB needs POST.
func notAllowed(w http.ResponseWriter, req *http.Request) {
	path := req.URL.Path
	if strings.Contains(path, ":") {
		reply.NotAllowed(w, fmt.Errorf("%s takes POST, not %s", path, req.Method), http.MethodPost)
		return
	}
	reply.NotAllowed(w, fmt.Errorf("%s takes GET, and POST as %s:predict, :classify or :regress", path, path), http.MethodGet, http.MethodHead)
}

// find parses NAME, NAME/versions/N or NAME/labels/L, and returns the model.
func (h handler) find(path string) (*served.Model, error) {
	parts := strings.Split(path, "/")
	switch {
	case len(parts) == 1:
		return h.models.Get(parts[0], "")
	case len(parts) == 3 && parts[1] == "versions" && parts[2] != "":
		return h.models.Get(parts[0], parts[2])
	case len(parts) == 3 && parts[1] == "labels":
		return h.models.Labelled(parts[0], parts[2])
	}
	return nil, served.NotFound("nothing at models/%s; a model is at models/NAME, models/NAME/versions/N or models/NAME/labels/L", path)
}

// get returns a model's status or its metadata.
func (h handler) get(w http.ResponseWriter, req *http.Request) {
	path, wantsMetadata := strings.CutSuffix(chi.URLParam(req, "*"), "/metadata")
	if strings.Contains(path, ":") {
		notAllowed(w, req)
		return
	}
	m, err := h.find(path)
	if err != nil && (wantsMetadata || !errors.Is(err, served.ErrNotReady)) {
		reply.Failure(w, err)
		return
	}
	if err == nil {
		defer m.Release()
	}
	if wantsMetadata {
		reply.JSON(w, http.StatusOK, metadata(m))
		return
	}
	h.status(w, path, m)
}

// states are TensorFlow Serving's names of versions' states.
var states = map[repository.State]string{
	repository.Ready: "AVAILABLE", repository.Loading: "LOADING", repository.Unavailable: "END",
}

// status answers with the requested version, or with all versions of the model, highest first. m is nil if
// the model is not ready.
func (h handler) status(w http.ResponseWriter, path string, m *served.Model) {
	type status struct {
		Code    string `json:"error_code"`
		Message string `json:"error_message"`
	}
	type version struct {
		Version string `json:"version"`
		State   string `json:"state"`
		Status  status `json:"status"`
	}
	name, rest, _ := strings.Cut(path, "/")
	which := strings.TrimPrefix(rest, "versions/")
	if rest != "" && m != nil {
		which = m.Version
	}
	list := []version{}
	for _, s := range known(h.models, name, which) {
		v := version{s.Version, states[s.State], status{"OK", s.Reason}}
		if s.State == repository.Unavailable {
			v.Status.Code = "UNAVAILABLE"
		}
		list = append(list, v)
	}
	// KServe's V1 protocol, which is otherwise the same, reads "ready" at this path.
	reply.JSON(w, http.StatusOK, map[string]any{"model_version_status": list, "ready": m != nil})
}

// known returns a model's versions, highest first: all, or the requested one.
func known(models Models, name, version string) []repository.Status {
	var list []repository.Status
	for _, s := range slices.Backward(models.Status()) {
		if s.Name == name && (version == "" || version == s.Version) {
			list = append(list, s)
		}
	}
	return list
}

var verbs = []string{"predict", "classify", "regress"}

// post answers PATH:predict, PATH:classify and PATH:regress.
func (h handler) post(w http.ResponseWriter, req *http.Request) {
	h.verb(w, req, chi.URLParam(req, "*"))
}

// direct answers what has a verb as the router would. It returns false for any other path.
func direct(models Models) func(http.ResponseWriter, *http.Request) bool {
	h := handler{models}
	return func(w http.ResponseWriter, req *http.Request) bool {
		path, ok := strings.CutPrefix(req.URL.Path, "/v1/models/")
		if !ok || !strings.Contains(path, ":") {
			return false
		}
		observe.Route(w, "/v1/models/*")
		h.verb(w, req, path)
		return true
	}
}

func (h handler) verb(w http.ResponseWriter, req *http.Request, path string) {
	at := strings.LastIndexByte(path, ':')
	if slash := strings.LastIndexByte(path, '/'); at < 0 && slash > 0 && slices.Contains(verbs, path[slash+1:]) {
		reply.Error(w, http.StatusNotFound, fmt.Errorf("nothing at models/%s; put the verb after a colon: models/%s:%s",
			path, path[:slash], path[slash+1:]))
		return
	}
	if at < 0 {
		notAllowed(w, req)
		return
	}
	m, err := h.find(path[:at])
	if err != nil {
		reply.Failure(w, err)
		return
	}
	defer m.Release()
	switch verb := path[at+1:]; verb {
	case "predict":
		answer(w, req, m, predictFormat)
	case "classify":
		answer(w, req, m, classifyFormat)
	case "regress":
		answer(w, req, m, regressFormat)
	default:
		reply.Error(w, http.StatusNotFound, fmt.Errorf("unknown verb %q; use predict, classify or regress", verb))
	}
}

// typeNames maps element types to TensorFlow's names.
var typeNames = map[tensor.DType]string{
	tensor.Bool: "DT_BOOL", tensor.String: "DT_STRING",
	tensor.Int8: "DT_INT8", tensor.Int16: "DT_INT16", tensor.Int32: "DT_INT32", tensor.Int64: "DT_INT64",
	tensor.Uint8: "DT_UINT8", tensor.Uint16: "DT_UINT16", tensor.Uint32: "DT_UINT32", tensor.Uint64: "DT_UINT64",
	tensor.Float16: "DT_HALF", tensor.BFloat16: "DT_BFLOAT16", tensor.Float32: "DT_FLOAT", tensor.Float64: "DT_DOUBLE",
}

// TypeName returns TensorFlow's name for an element type.
func TypeName(d tensor.DType) string { return typeNames[d] }

type dim struct {
	Size string `json:"size"`
	Name string `json:"name"`
}

type tensorInfo struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape struct {
		Dim         []dim `json:"dim"`
		UnknownRank bool  `json:"unknown_rank"`
	} `json:"tensor_shape"`
}

func info(s tensor.Spec) tensorInfo {
	t := tensorInfo{Name: s.Name, DType: typeNames[s.DType]}
	for _, d := range s.Shape {
		t.Shape.Dim = append(t.Shape.Dim, dim{Size: fmt.Sprint(d)})
	}
	return t
}

func metadata(m *served.Model) map[string]any {
	signatures := map[string]any{}
	for name, s := range Signatures(m) {
		inputs, outs := map[string]tensorInfo{}, map[string]tensorInfo{}
		for _, i := range takes(s) {
			inputs[i.Name] = info(i)
		}
		for _, o := range outputs(s) {
			outs[o.Name] = info(o.Spec())
		}
		signatures[name] = map[string]any{"inputs": inputs, "outputs": outs, "method_name": MethodOf(s)}
	}
	return map[string]any{
		"model_spec": map[string]any{"name": m.Name, "signature_name": "", "version": m.Version},
		"metadata":   map[string]any{"signature_def": map[string]any{"signature_def": signatures}},
	}
}

// takes returns the signature's inputs. A picture model's input is encoded pictures.
func takes(m *served.Model) []tensor.Spec {
	manifest := m.Manifest()
	specs := make([]tensor.Spec, len(manifest.Inputs))
	for i, input := range manifest.Inputs {
		specs[i] = input.Spec()
		if p := manifest.Picture; p != nil && input.Name == p.Input {
			specs[i] = tensor.Spec{Name: Picture, DType: tensor.String, Shape: []int64{-1}}
		}
	}
	return specs
}

// outputs returns the signature's outputs.
func outputs(m *served.Model) []bundle.TensorInfo {
	if m.Classifier() {
		return m.Manifest().Outputs[:1]
	}
	return m.Manifest().Shown()
}
