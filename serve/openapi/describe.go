package openapi

// The document as a whole, and the parts that belong to no model.

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Media types of bodies.
const (
	JSONType   = "application/json"
	BinaryType = "application/octet-stream"
	CSVType    = "text/csv"
	FormType   = "multipart/form-data"
)

// Builder builds a document. It is not safe for concurrent use.
type Builder struct {
	doc    Document
	base   string                 // SCHEME://HOST, for commands
	locked func(path string) bool // nil: nothing is

	components, ids map[string]bool // the names that are taken

	protocols []Protocol
	title     string    // of the protocol whose operations are being added
	sections  []section // of the page

	Memo
}

// Protocol is a protocol's part of the document.
type Protocol struct {
	// Title is the heading of the protocol's operations on the page.
	Title string
	// About describes the protocol in the introduction.
	About string
	// Model adds the operations of a model's version under one of its names. Optional.
	Model func(*Builder, *Model, At)
	// Server adds operations that belong to no model. Optional.
	Server func(*Builder)
}

// At is a way to name a model's version.
type At struct {
	Kind string // "": the version that is served by default; "versions" or "labels"
	Name string // a version or label
}

// Memo keeps values that operations share.
type Memo map[string]any

// Once calls made for the first request of a key, and returns the same result for later ones.
func Once[T any](m Memo, key string, made func() T) T {
	if kept, ok := m[key]; ok {
		return kept.(T)
	}
	value := made()
	m[key] = value
	return value
}

// Describe returns the document of all models. base is the server's SCHEME://HOST. locked is as in
// [Routes].
func Describe(models Models, protocols []Protocol, base string, locked func(path string) bool) *Document {
	return &describe(models, protocols, base, locked).doc
}

func describe(models Models, protocols []Protocol, base string, locked func(path string) bool) *Builder {
	b := &Builder{protocols: protocols, base: base, locked: locked, Memo: Memo{}, components: map[string]bool{}, ids: map[string]bool{}, doc: Document{
		OpenAPI: "3.1.1",
		Info: Info{
			Title:   "forgo",
			Summary: "Predictions of verified models",
			Description: "These are the models that this server has loaded; each says how its answers to its golden cases compare with the training framework's. " +
				"Each answers in these protocols: " + abouts(protocols) + ". Request bodies may be compressed with gzip or deflate.",
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
	b.sections = append(b.sections, section{ID: b.name(b.ids, "the-server"), Title: "The server"})
	b.doc.Tags = append(b.doc.Tags, Tag{Name: serverTag, Description: "Health and the list of models. Models are loaded and unloaded only on the admin port."})
	for _, p := range protocols {
		if b.title = p.Title; p.Server != nil {
			p.Server(b)
		}
	}
	return b
}

func abouts(protocols []Protocol) string {
	var list []string
	for _, p := range protocols {
		if p.About != "" {
			list = append(list, p.About)
		}
	}
	return strings.Join(list, "; ")
}

// serverTag groups the operations that belong to no model.
const serverTag = "the server"

// ServerOperation adds an operation that belongs to no model.
func (b *Builder) ServerOperation(method, path string, op *Operation, arguments string) {
	op.Tags, op.Samples = []string{serverTag}, []Sample{b.Curl(op.Summary, path, arguments)}
	b.Add(method, path, op)
}

// ServerGet adds a GET that belongs to no model.
func (b *Builder) ServerGet(id, path, summary string, responses Ordered[*Response]) {
	b.ServerOperation(http.MethodGet, path, &Operation{ID: id, Summary: summary, Responses: responses}, "")
}

// model adds a model's versions: each by number, and the stable one without a number.
func (b *Builder) model(versions []repository.Status) {
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
		d.Again, d.VersionLabels = v.Version == current.Version, v.Labels
		b.sections = append(b.sections, b.newSection(d))
		if d.Again {
			b.at(d, At{})
		}
		b.at(d, At{"versions", m.Version})
		for _, label := range v.Labels {
			b.at(d, At{"labels", label})
		}
	}
}

func (b *Builder) at(d *Model, at At) {
	for _, p := range b.protocols {
		if b.title = p.Title; p.Model != nil {
			p.Model(b, d, at)
		}
	}
}

// Add adds an operation at a path.
func (b *Builder) Add(method, path string, op *Operation) {
	op.ID = b.name(b.ids, op.ID)
	b.lock(path, op)
	item := &Path{}
	if method == http.MethodGet {
		item.Get = op
	} else {
		item.Post = op
	}
	b.doc.Paths = append(b.doc.Paths, Field[*Path]{path, item})
	if !op.Again {
		b.show(method, path, op)
	}
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// name returns a unique name for a component, an operation or a section, made from text.
func (b *Builder) name(used map[string]bool, text string) string {
	text = notInNames.ReplaceAllString(text, "_")
	free := text
	for i := 2; used[free]; i++ {
		free = text + "_" + strconv.Itoa(i)
	}
	used[free] = true
	return free
}

// Schema adds a schema to the components and returns a reference to it.
func (b *Builder) Schema(name string, s *Schema) *Schema {
	name = b.name(b.components, name)
	b.doc.Components.Schemas = append(b.doc.Components.Schemas, Property(name, s))
	return &Schema{Ref: "#/components/schemas/" + name}
}

// failures are the responses to failed requests, by status.
var failures = []struct {
	status            int
	name, description string
}{
	{400, "BadRequest", "The request is not one that this model takes; `error` names the field at fault."},
	{401, "Unauthenticated", "There is no key, or one that is not known here."},
	{403, "Forbidden", "The key does not have the right to this."},
	{404, "NotFound", "There is no such model, version or label (any more)."},
	{408, "TooSlow", "The body did not arrive in time."},
	{413, "TooLarge", "The body is larger than the server takes."},
	{415, "UnknownEncoding", "Content-Encoding is neither gzip nor deflate."},
	{429, "Busy", "Too many requests wait already; try again after Retry-After seconds."},
	{500, "Failed", "The model could not be run; the server's log says why."},
	{503, "Unavailable", "The model is not ready, or the server is stopping; try again after Retry-After seconds."},
	{504, "TooLate", "The request's time ended before its answer."},
}

// shared adds the components that every model uses.
func (b *Builder) shared() {
	failure := b.Schema("Error", Object(Property("error", About(Text(), "What is wrong, and where."))))
	for _, f := range failures {
		if b.locked == nil && (f.status == http.StatusUnauthorized || f.status == http.StatusForbidden) {
			continue
		}
		r := &Response{Description: f.description, Content: Ordered[*Media]{{JSONType, &Media{Schema: failure}}}}
		if f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable {
			r.Headers = Ordered[*Header]{{"Retry-After", &Header{"Seconds to wait.", Count()}}}
		}
		b.doc.Components.Responses = append(b.doc.Components.Responses, Field[*Response]{f.name, r})
	}
}

// lock says in an operation whether it needs a key.
func (b *Builder) lock(path string, op *Operation) {
	switch {
	case b.locked == nil:
	case !b.locked(path):
		op.Security = &[]Requirement{}
	default:
		op.Responses = append(op.Responses, Answers(nil, http.StatusUnauthorized, http.StatusForbidden)[1:]...)
		slices.SortStableFunc(op.Responses, func(x, y Field[*Response]) int { return cmp.Compare(x.Name, y.Name) })
	}
}

// Answers returns an operation's responses: its 200, and those of failures.
func Answers(good *Response, failed ...int) Ordered[*Response] {
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

// Predictions lists the statuses of failed predictions.
var Predictions = []int{400, 404, 408, 413, 415, 429, 500, 503, 504}

// Deadline returns the timeout parameter of predictions.
func Deadline() Parameter {
	s := Text()
	s.Pattern = "^[0-9]{1,8}[HMSmun]$"
	return Parameter{
		Name: served.Timeout, In: "header", Schema: s,
		Description: "How long the client will wait: digits and a unit, one of H, M, S, m, u and n, from hours to nanoseconds.",
	}
}

// InBody returns a response with a body of one of several media types.
func InBody(description string, content ...Field[*Media]) *Response {
	return &Response{Description: description, Content: content}
}

// Content returns a body of one media type.
func Content(kind string, s *Schema, examples ...Field[*Example]) Field[*Media] {
	return Field[*Media]{kind, &Media{Schema: s, Examples: examples}}
}

// NewExample returns an example of a body.
func NewExample(name, summary string, value any) Field[*Example] {
	return Field[*Example]{name, &Example{summary, value}}
}

// summary describes a model in one line.
func summary(m *served.Model, versions int) string {
	manifest := m.Manifest()
	s := fmt.Sprintf("%s, version %s", manifest.Task, m.Version)
	if versions > 1 {
		s += fmt.Sprintf(" of %d", versions)
	}
	return s + ": " + m.Parity().String() + "."
}
