package openapi

// The document as a whole, and what concerns no single model.

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

const (
	jsonType   = "application/json"
	binaryType = "application/octet-stream"
	csvType    = "text/csv"
	formType   = "multipart/form-data"
)

// builder gathers a document.
type builder struct {
	doc    Document
	base   string                 // SCHEME://HOST, for commands
	locked func(path string) bool // nil: nothing is

	components, ids map[string]bool // the names that are taken

	stats, status *Schema   // once they are components
	sections      []section // of the page
}

// Describe makes the document of all models. base is the server's SCHEME://HOST; locked is as
// [Routes] has it.
func Describe(models Models, base string, locked func(path string) bool) *Document {
	return &describe(models, base, locked).doc
}

func describe(models Models, base string, locked func(path string) bool) *builder {
	b := &builder{base: base, locked: locked, components: map[string]bool{}, ids: map[string]bool{}, doc: Document{
		OpenAPI: "3.1.1",
		Info: Info{
			Title:   "forgo",
			Summary: "Predictions of verified models",
			Description: "These are the models that this server has loaded; each says how its answers to its golden cases compare with the training framework's. " +
				"Each answers in three protocols: forgo's own, which takes the thing itself and gives the labelled answer, " +
				"the Open Inference Protocol v2, and TensorFlow Serving's API; these two are spoken over gRPC as well. " +
				"Request bodies may be packed with gzip or deflate.",
			Version: forgo.Version(),
		},
		Servers: []Server{{URL: "/"}},
	}}
	if locked != nil {
		b.doc.Security = []Requirement{{"bearer": {}}, {"apiKey": {}}}
		b.doc.Components.SecuritySchemes = Ordered[*SecurityScheme]{
			{"bearer", &SecurityScheme{Type: "http", Scheme: "bearer"}},
			{"apiKey", &SecurityScheme{Type: "apiKey", In: "header", Name: "X-API-Key"}},
		}
	}
	b.shared()
	var ready []repository.Status
	for _, s := range models.Status() {
		if s.Model != nil {
			ready = append(ready, s)
		}
	}
	for len(ready) > 0 {
		n := slices.IndexFunc(ready, func(s repository.Status) bool { return s.Name != ready[0].Name })
		if n < 0 {
			n = len(ready)
		}
		b.model(ready[:n])
		ready = ready[n:]
	}
	b.server()
	return b
}

// model adds a model by its versions: each by number, and the stable one without.
func (b *builder) model(versions []repository.Status) {
	current := versions[len(versions)-1]
	for _, v := range versions {
		if slices.Contains(v.Labels, repository.Stable) {
			current = v
		}
	}
	b.doc.Tags = append(b.doc.Tags, Tag{Name: current.Name, Description: summary(current.Model, len(versions))})
	for _, v := range versions {
		m := v.Model
		d := b.newModel(m)
		d.again, d.labels = v.Version == current.Version, v.Labels
		b.sections = append(b.sections, b.newSection(d))
		if d.again {
			b.native(d)
			b.oip(d, "")
			b.tfserving(d, "", "")
		}
		b.oip(d, m.Version)
		b.tfserving(d, "versions", m.Version)
		for _, label := range v.Labels {
			b.tfserving(d, "labels", label)
		}
	}
}

// add puts an operation at a path.
func (b *builder) add(method, path string, op *Operation) {
	op.ID = b.name(b.ids, op.ID)
	b.lock(path, op)
	place := &Path{}
	if method == http.MethodGet {
		place.Get = op
	} else {
		place.Post = op
	}
	b.doc.Paths = append(b.doc.Paths, Field[*Path]{path, place})
	if !op.again {
		b.show(method, path, op)
	}
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// name makes of a text a name that is used once: of a component, or of an operation or section.
func (b *builder) name(used map[string]bool, text string) string {
	text = notInNames.ReplaceAllString(text, "_")
	free := text
	for i := 2; used[free]; i++ {
		free = text + "_" + strconv.Itoa(i)
	}
	used[free] = true
	return free
}

// schema puts a schema among the components and returns a reference to it.
func (b *builder) schema(name string, s *Schema) *Schema {
	name = b.name(b.components, name)
	b.doc.Components.Schemas = append(b.doc.Components.Schemas, property(name, s))
	return &Schema{Ref: "#/components/schemas/" + name}
}

// failures are the answers of requests that fail, by status.
var failures = []struct {
	status            int
	name, description string
}{
	{400, "BadRequest", "The request is not one that this model takes; `error` names the field at fault."},
	{401, "Unauthenticated", "There is no key, or one that is not known here."},
	{403, "Forbidden", "The key does not have the right to this."},
	{404, "NotFound", "There is no such model, version or label (any more)."},
	{408, "TooSlow", "The body did not come in time."},
	{413, "TooLarge", "The body is larger than the server takes."},
	{415, "UnknownEncoding", "Content-Encoding is neither gzip nor deflate."},
	{429, "Busy", "Too many requests wait already; try again after Retry-After seconds."},
	{500, "Failed", "The model could not be run; the server's log says why."},
	{503, "Unavailable", "The model is not ready, or the server is stopping; try again after Retry-After seconds."},
	{504, "TooLate", "The request's time ended before its answer."},
}

// shared adds the components that every model uses.
func (b *builder) shared() {
	failure := b.schema("Error", object(property("error", about(text(), "What is wrong, and where."))))
	for _, f := range failures {
		if b.locked == nil && (f.status == http.StatusUnauthorized || f.status == http.StatusForbidden) {
			continue
		}
		r := &Response{Description: f.description, Content: Ordered[*Media]{{jsonType, &Media{Schema: failure}}}}
		if f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable {
			r.Headers = Ordered[*Header]{{"Retry-After", &Header{"Seconds to wait.", count()}}}
		}
		b.doc.Components.Responses = append(b.doc.Components.Responses, Field[*Response]{f.name, r})
	}
}

// lock says of an operation whether it asks for a key.
func (b *builder) lock(path string, op *Operation) {
	switch {
	case b.locked == nil:
	case !b.locked(path):
		op.Security = &[]Requirement{}
	default:
		op.Responses = append(op.Responses, answers(nil, http.StatusUnauthorized, http.StatusForbidden)[1:]...)
		slices.SortStableFunc(op.Responses, func(x, y Field[*Response]) int { return cmp.Compare(x.Name, y.Name) })
	}
}

// answers are an operation's responses: its 200, and those of failures.
func answers(good *Response, failed ...int) Ordered[*Response] {
	all := Ordered[*Response]{{"200", good}}
	for _, f := range failures {
		for _, status := range failed {
			if f.status == status {
				all = append(all, Field[*Response]{strconv.Itoa(status), &Response{Ref: "#/components/responses/" + f.name}})
			}
		}
	}
	return all
}

// predictions are the statuses with which a request to predict may fail.
var predictions = []int{400, 404, 408, 413, 415, 429, 500, 503, 504}

// deadline is the parameter of requests to predict.
func deadline() Parameter {
	s := text()
	s.Pattern = "^[0-9]{1,8}[HMSmun]$"
	return Parameter{
		Name: reply.Timeout, In: "header", Schema: s,
		Description: "How long the client is going to wait: digits and a unit, H, M, S, m, u or n, from hours to nanoseconds.",
	}
}

func inBody(description string, content ...Field[*Media]) *Response {
	return &Response{Description: description, Content: content}
}

func media(kind string, s *Schema, examples ...Field[*Example]) Field[*Media] {
	return Field[*Media]{kind, &Media{Schema: s, Examples: examples}}
}

func example(name, summary string, value any) Field[*Example] {
	return Field[*Example]{name, &Example{summary, value}}
}

// server adds what concerns no single model.
func (b *builder) server() {
	const tag = "the server"
	b.sections = append(b.sections, section{ID: b.name(b.ids, "the-server"), Title: "The server"})
	b.doc.Tags = append(b.doc.Tags, Tag{Name: tag, Description: "Health, and what there is. Models are loaded and unloaded on the admin port alone."})
	get := func(id, path, summary string, responses Ordered[*Response]) {
		b.add(http.MethodGet, path, &Operation{
			ID: id, Tags: []string{tag}, Summary: summary, Responses: responses,
			Samples: []Sample{b.curl(summary, path, "")},
		})
	}
	one := func(name string, value bool) *Schema { return object(property(name, constant(value))).closed() }
	get("live", "/v2/health/live", "Whether the server runs", answers(inBody("It does.", media(jsonType, one("live", true)))))
	ready := answers(inBody("It takes requests.", media(jsonType, one("ready", true))))
	ready = append(ready, Field[*Response]{"503", inBody("It is stopping.", media(jsonType, one("ready", false)))})
	get("ready", "/v2/health/ready", "Whether the server takes requests", ready)
	get("metadata", "/v2", "The server's version and extensions", answers(inBody("What the server is.", media(jsonType, object(
		property("name", constant("forgo")), property("version", text()), property("extensions", list(text(), 0, -1)),
	).closed()))))
	get("stats", "/v2/models/stats", "What all models have answered", answers(inBody("Counts and times, by model.", media(jsonType, b.statistics()))))

	names := object(property("models", list(text(), 0, -1))).closed()
	get("v2_models", "/v2/models", "The models' names", answers(inBody("Those that are known, ready or not.", media(jsonType, names))))
	get("v1_models", "/v1/models", "The models' names", answers(inBody("Those that are known, ready or not.", media(jsonType, names))))
	states := oneOfTexts([]string{"READY", "LOADING", "UNAVAILABLE"})
	version := object(property("version", text()), property("state", states))
	version.Properties = append(version.Properties,
		property("reason", about(text(), "Why it is not ready or, of one that is, what is wrong with its folder.")),
		property("labels", list(text(), 0, -1)), property("task", text()), property("digest", about(text(), "The bundle's.")))
	get("models", "/models", "The models and their versions", answers(inBody("Those that are known, ready or not.", media(jsonType, object(
		property("models", list(object(
			property("name", text()), property("path", about(text(), "Where to post to.")),
			property("ready", about(boolean(), "Whether the version answers that is asked for where none is named.")),
			property("versions", list(version.closed(), 1, -1)),
		).closed(), 0, -1)),
	).closed()))))

	entry := object(
		property("name", text()), property("version", text()),
		property("state", oneOfTexts([]string{"READY", "LOADING", "UNLOADING", "UNAVAILABLE"})),
		property("reason", about(text(), "Why it is not ready.")),
	).closed()
	const path, sum = "/v2/repository/index", "The models and their states"
	b.add(http.MethodPost, path, &Operation{
		ID: "index", Tags: []string{tag}, Summary: sum,
		Body: &Body{Content: Ordered[*Media]{media(jsonType, (&Schema{Type: "object"}).with(
			property("ready", about(boolean(), "List the ready ones alone.")),
		), example("ready", "The ready ones", map[string]any{"ready": true}))}},
		Responses: answers(inBody("A list.", media(jsonType, list(entry, 0, -1))), 400, 408, 413, 415),
		Samples:   []Sample{b.curl("All models", path, "-X POST")},
	})
}

// statistics is the answer of the statistics extension.
func (b *builder) statistics() *Schema {
	if b.stats == nil {
		duration := b.schema("Duration", object(property("count", count()), property("ns", about(count(), "Nanoseconds in all."))).closed())
		times := object()
		for _, name := range []string{"success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"} {
			times.Properties = append(times.Properties, property(name, duration))
			times.Required = append(times.Required, name)
		}
		b.stats = b.schema("Statistics", object(property("model_stats", list(object(
			property("name", text()), property("version", text()),
			property("last_inference", about(count(), "Milliseconds since 1970, 0 for none.")),
			property("inference_count", about(count(), "Rows answered.")),
			property("execution_count", about(count(), "Runs of the model.")),
			property("inference_stats", times.closed()),
			property("batch_stats", about(list(object(
				property("batch_size", count()), property("compute_input", duration),
				property("compute_infer", duration), property("compute_output", duration),
			).closed(), 0, -1), "Runs of the model, by their rows.")),
		).closed(), 0, -1))).closed())
	}
	return b.stats
}

// summary is one line about a model.
func summary(m *served.Model, versions int) string {
	manifest := m.Manifest()
	s := fmt.Sprintf("%s, version %s", manifest.Task, m.Version)
	if versions > 1 {
		s += fmt.Sprintf(" of %d", versions)
	}
	return s + ": " + m.Parity().String() + "."
}
