// Package ui holds the pages for people: the models at /, and a form that asks for a key, since a browser
// cannot send the header by itself.
package ui

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	forgo "github.com/forgo-ml/forgo"
	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/serve/internal/page"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/openapi"
	"github.com/forgo-ml/forgo/serve/repository"
)

var (
	//go:embed home.html
	homeSource string
	//go:embed key.html
	keySource string
	//go:embed key.js
	keyScript string

	homeTemplate = template.Must(template.New("home").Parse(homeSource))
	keyTemplate  = template.Must(template.New("key").Parse(keySource))
)

// Models lists the models, like [repository.Repository].
type Models interface {
	// Status returns every known version, by name and version.
	Status() []repository.Status
	// Ready reports whether the server as a whole takes requests.
	Ready() bool
}

// model is a model on the page.
type model struct {
	Name, Task string
	Anchor     string // in /docs; "" if no version is described there
	Versions   []repository.Status
}

// Home answers with the page at /: the models with their versions, and links.
func Home(models Models) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var list []model
		for _, s := range models.Status() {
			if n := len(list); n == 0 || list[n-1].Name != s.Name {
				list = append(list, model{Name: s.Name})
			}
			last := &list[len(list)-1]
			last.Versions = append(last.Versions, s)
			if s.Model != nil {
				last.Task, last.Anchor = s.Model.Manifest().Task, openapi.Anchor(s.Name, s.Version)
			}
		}
		write(w, http.StatusOK, homeTemplate, map[string]any{
			"Version": forgo.Version(), "Ready": models.Ready(), "Models": list,
		})
	}
}

// Wants reports whether a request without a key comes from a browser for a page.
func Wants(req *http.Request) bool {
	return req.Method == http.MethodGet && (req.URL.Path == "/" || req.URL.Path == "/docs") &&
		strings.Contains(req.Header.Get("Accept"), "text/html")
}

// AskForKey answers 401 with a page that takes a key and then loads the requested page with it. The key
// stays in the browser's tab and is not a cookie.
func AskForKey(w http.ResponseWriter) {
	write(w, http.StatusUnauthorized, keyTemplate, map[string]any{"Script": template.JS(keyScript)}, keyScript, openapi.Script())
}

func write(w http.ResponseWriter, status int, t *template.Template, data map[string]any, scripts ...string) {
	data["Style"] = template.CSS(page.Style)
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		reply.Failure(w, fmt.Errorf("write the page: %w", err))
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // models come and go
	h.Set("Content-Security-Policy", page.Policy(scripts...))
	h.Add("Vary", "Accept")
	reply.Page(w, status, printable.Bytes(out.Bytes()))
}
