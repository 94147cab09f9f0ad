// Package native is forgo's own protocol: POST the thing itself, get the labelled answer.
//
// A picture or a JSON row is answered with one [predict.Answer] as JSON; a list of rows, a
// CSV and a form with files with a list of them, in order, those of files with the file's name.
package native

import (
	"mime"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Models finds a model by name, which is to be released, and lists them.
type Models interface {
	Get(name, version string) (*served.Model, error)
	// Status returns every version that is known, by name and version.
	Status() []repository.Status
}

// Handler serves GET /, the list of models, and POST /{name} and /{name}/versions/{version}. ?top=N keeps the N best classes; 0,
// the default, all.
func Handler(models Models) http.Handler {
	r := chi.NewRouter()
	answer := func(w http.ResponseWriter, req *http.Request) {
		m, err := models.Get(chi.URLParam(req, "name"), chi.URLParam(req, "version"))
		if err != nil {
			reply.Failure(w, err)
			return
		}
		defer m.Release()
		var a answers
		prepare := func(r *served.Request) (predict.Tensors, error) {
			if err := a.readTop(req); err != nil {
				return nil, err
			}
			return a.read(r, req)
		}
		write := func(out predict.Tensors) error { return a.write(w, m, out) }
		reply.Do(w, req, m, prepare, write)
	}
	r.Get("/", list(models))
	r.Post("/{name}", answer)
	r.Post("/{name}/versions/{version}", answer)
	return r
}

// answers says how a request is to be answered.
type answers struct {
	top   int
	list  bool           // a list, where one answer alone would do
	files []payload.File // what is answered, of a form
}

func (a *answers) readTop(req *http.Request) error {
	query := req.URL.Query()
	if !query.Has("top") {
		return nil
	}
	top, err := strconv.ParseUint(query.Get("top"), 10, 31)
	if err != nil {
		return served.BadInput("top must be a number from 0 to 2147483647, not %q", query.Get("top"))
	}
	a.top = int(top)
	return nil
}

// read turns a body of whatever kind into the model's inputs. A form and a CSV say what they
// are; any other body is a picture to a model that takes nothing else, and JSON to others.
func (a *answers) read(m *served.Request, req *http.Request) (predict.Tensors, error) {
	kind, parameters, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	switch {
	case kind == "multipart/form-data":
		if err != nil || parameters["boundary"] == "" {
			return nil, served.BadInput("header Content-Type: the form has no boundary")
		}
		return a.form(m, req, parameters["boundary"])
	case kind == "text/csv" && m.Manifest().Picture != nil:
		return nil, served.BadInput("header Content-Type is text/csv, but model %q takes pictures", m.Name)
	}
	body, free, err := reply.Body(req, m)
	if err != nil {
		return nil, err
	}
	defer free() // what is parsed does not share it
	switch {
	case kind == "text/csv":
		a.list = true
		return table(m, body)
	case m.Manifest().PictureAlone():
		return m.Picture(body)
	}
	return a.rows(m, body)
}
