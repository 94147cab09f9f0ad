package servetest

// The OpenAPI document, as a client reads and follows it.

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document is an OpenAPI document as a client reads it.
type Document struct {
	URL     string
	Whole   map[string]any
	schemas *jsonschema.Compiler
}

// ReadDocument reads that of a server.
func ReadDocument(t *testing.T, url string) Document {
	t.Helper()
	status, header, raw := Exchange(t, "GET", url+"/openapi.json", nil)
	if status != 200 || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", status, header)
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	schemas := jsonschema.NewCompiler()
	schemas.DefaultDraft(jsonschema.Draft2020)
	if err := schemas.AddResource("openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	return Document{url, whole.(map[string]any), schemas}
}

// Each calls f for every operation.
func (d Document) Each(f func(path, method string, op map[string]any)) {
	for path, methods := range d.Whole["paths"].(map[string]any) {
		for method, op := range methods.(map[string]any) {
			f(path, method, op.(map[string]any))
		}
	}
}

// Conforms holds a JSON value to the schema at a place in the document.
func (d Document) Conforms(t *testing.T, raw []byte, place ...string) {
	t.Helper()
	for i, name := range place {
		place[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	address := url.URL{Path: "openapi.json", Fragment: "/" + strings.Join(place, "/")}
	schema, err := d.schemas.Compile(address.String())
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%s: %.300s: %v", place, raw, err)
	}
}

// Answers sends a request, and holds its 200 to the document.
func (d Document) Answers(t *testing.T, method, path, kind string, body []byte, headers ...string) {
	t.Helper()
	headers = append(headers, "Content-Type", kind)
	status, header, raw := Exchange(t, strings.ToUpper(method), d.URL+path, body, headers...)
	if status != 200 {
		t.Errorf("%s %s with %s %.200s: %d %s", method, path, kind, body, status, raw)
		return
	}
	answered := header.Get("Content-Type")
	content := At(d.Whole, "paths", path, method, "responses", "200", "content").(map[string]any)
	if content[answered] == nil {
		t.Errorf("%s %s answers %s, which is not documented", method, path, answered)
	} else if answered == "application/json" {
		d.Conforms(t, raw, "paths", path, method, "responses", "200", "content", answered, "schema")
	}
}

// Examples sends all that the document gives, holds the answers to it, and counts by media type.
func (d Document) Examples(t *testing.T) map[string]int {
	t.Helper()
	sent, ids := map[string]int{}, map[any]bool{}
	d.Each(func(path, method string, op map[string]any) {
		if ids[op["operationId"]] {
			t.Errorf("two operations are %q", op["operationId"])
		}
		ids[op["operationId"]] = true
		if method == "get" {
			d.Answers(t, method, path, "", nil)
			sent["get"]++
		}
		content, _ := At(op, "requestBody", "content").(map[string]any)
		for kind, media := range content {
			examples, _ := At(media, "examples").(map[string]any)
			for _, e := range examples {
				body, err := json.Marshal(At(e, "value"))
				if err != nil {
					t.Fatal(err)
				}
				if text, ok := At(e, "value").(string); ok && kind != "application/json" {
					body = []byte(text)
				} else {
					d.Conforms(t, body, "paths", path, method, "requestBody", "content", kind, "schema")
				}
				d.Answers(t, method, path, kind, body)
				sent[kind]++
			}
		}
	})
	return sent
}
