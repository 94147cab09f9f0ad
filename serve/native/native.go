// Package native is forgo's own protocol: POST a picture, rows or a table as they are, and get the
// labelled answer.
//
// The answer to a picture or a JSON row is one [predict.Answer] as JSON. The answer to a list of rows,
// lines of JSON, a CSV, NumPy's arrays or a form with files is a list of answers, in order. Those to files
// include the file's name.
package native

import (
	"bytes"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/serve/internal/bodies"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Models finds a model by name, which the caller releases, and lists models.
type Models interface {
	Get(name, version string) (*served.Model, error)
	// Status returns every known version, by name and version.
	Status() []repository.Status
}

// Handler serves GET /, the list of models, and POST /{name} and /{name}/versions/{version}. The parameter
// top=N keeps the N best classes; 0, the default, keeps all.
func Handler(models Models) http.Handler {
	r := chi.NewRouter()
	answer := func(w http.ResponseWriter, req *http.Request) {
		answer(w, req, models, chi.URLParam(req, "name"), chi.URLParam(req, "version"))
	}
	r.Get("/", list(models))
	r.Post("/{name}", answer)
	r.Post("/{name}/versions/{version}", answer)
	return r
}

// direct answers the paths of models as the router would. It returns false for any other path.
func direct(models Models) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		path, ok := strings.CutPrefix(req.URL.Path, "/models/")
		name, version, named := served.ModelPath(path)
		if !ok || !named {
			return false
		}
		pattern := "/models/{name}"
		if version != "" {
			pattern = "/models/{name}/versions/{version}"
		}
		observe.Route(w, pattern)
		answer(w, req, models, name, version)
		return true
	}
}

func answer(w http.ResponseWriter, req *http.Request, models Models, name, version string) {
	m, err := models.Get(name, version)
	if err != nil {
		reply.Failure(w, err)
		return
	}
	defer m.Release()
	if err := m.HTTP(w, req, func(r *served.Request) error { return infer(w, req, r) }); err != nil {
		reply.Failure(w, err)
	}
}

// infer answers one request.
func infer(w http.ResponseWriter, req *http.Request, r *served.Request) error {
	var a answers
	if err := a.readTop(req); err != nil {
		return err
	}
	inputs, err := a.read(r, req)
	if err != nil {
		return err
	}
	out, err := r.Run(inputs)
	if err != nil {
		return err
	}
	return a.write(w, r.Model, out)
}

// answers says how to answer a request.
type answers struct {
	top   int
	list  bool           // a list, where one answer alone would do
	files []payload.File // a form's files
}

func (a *answers) readTop(req *http.Request) error {
	if req.URL.RawQuery == "" {
		return nil
	}
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

// Kinds of bodies, by the Content-Type or, if that names none of these, by the first bytes.
const (
	formBody    = "a form"
	tableBody   = "CSV"
	linesBody   = "JSON lines"
	npyBody     = "an array"
	npzBody     = "arrays"
	pictureBody = "a picture"
	rowsBody    = "JSON"
)

var kinds = map[string]string{
	"multipart/form-data": formBody, "text/csv": tableBody, "application/json": rowsBody,
	"application/x-ndjson": linesBody, "application/ndjson": linesBody, "application/jsonl": linesBody, "application/x-jsonlines": linesBody,
	"application/x-npy": npyBody, "application/npy": npyBody, "application/x-npz": npzBody, "application/npz": npzBody,
}

// sniff returns the kind of a body from its first bytes.
func sniff(body []byte, m *served.Request) string {
	switch start := bytes.TrimLeft(body, " \t\r\n"); {
	case bytes.HasPrefix(body, []byte(payload.NPYMagic)):
		return npyBody
	case bytes.HasPrefix(body, []byte(payload.ZipMagic)):
		return npzBody
	case m.Manifest().PictureAlone() && !bytes.HasPrefix(start, []byte("{")) && !bytes.HasPrefix(start, []byte("[")):
		return pictureBody
	}
	return rowsBody
}

// read converts a body of any kind to the model's inputs.
//
//forgo:reader native pictures
func (a *answers) read(m *served.Request, req *http.Request) (predict.Tensors, error) {
	kind := req.Header.Get("Content-Type")
	var parameters map[string]string
	var err error
	if kind != "" && kind != "application/json" {
		kind, parameters, err = mime.ParseMediaType(kind)
	}
	what := kinds[kind]
	switch {
	case what == formBody:
		if err != nil || parameters["boundary"] == "" {
			return nil, served.BadInput("header Content-Type: the form has no boundary")
		}
		return a.form(m, req, parameters["boundary"])
	case (what == tableBody || what == npyBody || what == npzBody) && m.Manifest().Picture != nil:
		return nil, served.BadInput("header Content-Type is %s, but model %q takes pictures", kind, m.Name)
	}
	body, free, err := bodies.Read(req, m)
	if err != nil {
		return nil, err
	}
	defer free() // parsing copies
	if what == "" || what == rowsBody {
		what = sniff(body, m)
	}
	switch what {
	case tableBody:
		a.list = true
		return table(m, body, parameters["header"])
	case npyBody, npzBody:
		a.list = true
		return arrays(m, body, what == npzBody)
	case linesBody:
		a.list = true
		return lines(m, body)
	case pictureBody:
		return m.Picture(body)
	}
	return a.rows(m, body)
}
