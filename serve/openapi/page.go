package openapi

// The document as a self-contained page for people.

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/page"
	"github.com/forgo-ml/forgo/serve/internal/reply"
)

var (
	//go:embed page.html
	pageSource string
	//go:embed page.js
	script string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		"lower": strings.ToLower, "code": code,
	}).Parse(pageSource))
)

// Script returns the page's script, which the page that asks for a key must also allow.
func Script() string { return script }

// code returns a text as HTML, with the parts between backquotes as code.
func code(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String())
}

// section is the part of the page about one version of a model, or about the server.
type section struct {
	ID, Title, Version, Summary, Digest string
	Inputs, Outputs                     []end
	Pictures, Labels                    []string
	VersionLabels                       []string // labels of the version
	Groups                              []group
}

// Anchor returns the anchor of a version on the page at /docs. Versions with similar names may share one.
func Anchor(name, version string) string {
	return notInNames.ReplaceAllString(name+"@"+version, "_")
}

// end is an input or an output.
type end struct{ Name, Datatype, Shape string }

// group is the operations of one protocol.
type group struct {
	Title      string
	Operations []operation
}

type operation struct {
	*Operation
	Method, Path string
	Bodies       []body
	Answers      []body // to successful requests
	Failures     []body
	Answered     string // an example
}

// body is the body of a request or a response, of one media type.
type body struct{ Status, Kind, Description, Sketch string }

func (b *Builder) newSection(d *Model) section {
	manifest := d.Manifest()
	s := section{
		ID: b.name(b.ids, Anchor(d.Name, d.Version)), Title: d.Name, Version: d.Version, Summary: manifest.Task + "; " + d.Parity().String(),
		Digest: d.Digest(), Labels: manifest.Labels,
	}
	if d.PictureAlone {
		s.Pictures = d.PictureTypes()
	}
	for _, in := range d.Sets()[0] {
		s.Inputs = append(s.Inputs, newEnd(in))
	}
	for _, o := range d.OutputSpecs {
		s.Outputs = append(s.Outputs, newEnd(o))
	}
	if d.Again {
		s.VersionLabels = d.VersionLabels
	}
	return s
}

func newEnd(s tensor.Spec) end {
	var sizes []string
	for i, d := range s.Shape {
		switch {
		case i == 0:
			sizes = append(sizes, "N")
		case d < 0:
			sizes = append(sizes, "?")
		default:
			sizes = append(sizes, fmt.Sprint(d))
		}
	}
	return end{s.Name, wire.Datatype(s.DType), strings.Join(sizes, " × ")}
}

// show adds an operation to the current section.
func (b *Builder) show(method, path string, op *Operation) {
	o := operation{Operation: op, Method: method, Path: path}
	if op.Body != nil {
		for _, m := range op.Body.Content {
			o.Bodies = append(o.Bodies, body{Kind: m.Name, Sketch: b.sketch(m.Value.Schema)})
		}
	}
	for _, r := range op.Responses {
		answer := r.Value
		if answer.Ref != "" {
			o.Failures = append(o.Failures, body{Status: r.Name, Description: b.failure(answer.Ref)})
			continue
		}
		for _, m := range answer.Content {
			o.Answers = append(o.Answers, body{r.Name, m.Name, answer.Description, b.sketch(m.Value.Schema)})
			for _, e := range m.Value.Examples {
				o.Answered = compact(e.Value.Value)
			}
		}
	}
	s := &b.sections[len(b.sections)-1]
	if n := len(s.Groups); n == 0 || s.Groups[n-1].Title != b.title {
		s.Groups = append(s.Groups, group{Title: b.title})
	}
	g := &s.Groups[len(s.Groups)-1]
	g.Operations = append(g.Operations, o)
}

// failure returns the meaning of a reference to a shared response.
func (b *Builder) failure(ref string) string {
	for _, r := range b.doc.Components.Responses {
		if strings.HasSuffix(ref, "/"+r.Name) {
			return r.Value.Description
		}
	}
	return ""
}

func (b *Builder) writePage(w http.ResponseWriter) {
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, map[string]any{
		"Info": b.doc.Info, "Sections": b.sections, "Locked": b.locked != nil,
		"Style": template.CSS(page.Style), "Script": template.JS(script),
	})
	if err != nil {
		reply.Failure(w, fmt.Errorf("write the page: %w", err))
		return
	}
	w.Header().Set("Content-Security-Policy", page.Policy(script))
	w.Header().Add("Vary", "Accept")
	reply.Text(w, "text/html; charset=utf-8", printable.Bytes(out.Bytes()))
}
