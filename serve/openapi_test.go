package serve_test

// The OpenAPI document says what the server does: what it gives as examples is answered, and
// answers are as it says, to the last field.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/repository"
)

// document is an OpenAPI document as a client reads it.
type document struct {
	url     string
	whole   map[string]any
	schemas *jsonschema.Compiler
}

func readDocument(t *testing.T, url string) document {
	t.Helper()
	status, header, raw := exchange(t, "GET", url+"/openapi.json", nil)
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
	return document{url, whole.(map[string]any), schemas}
}

// at follows names down into a JSON value.
func at(value any, names ...string) any {
	for _, name := range names {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// each calls f for every operation.
func (d document) each(f func(path, method string, op map[string]any)) {
	for path, methods := range d.whole["paths"].(map[string]any) {
		for method, op := range methods.(map[string]any) {
			f(path, method, op.(map[string]any))
		}
	}
}

// conforms holds a JSON value to the schema at a place in the document.
func (d document) conforms(t *testing.T, raw []byte, place ...string) {
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

// answers sends a request, and holds its 200 to the document.
func (d document) answers(t *testing.T, method, path, kind string, body []byte, headers ...string) {
	t.Helper()
	headers = append(headers, "Content-Type", kind)
	status, header, raw := exchange(t, strings.ToUpper(method), d.url+path, body, headers...)
	if status != 200 {
		t.Errorf("%s %s with %s %.200s: %d %s", method, path, kind, body, status, raw)
		return
	}
	answered := header.Get("Content-Type")
	content := at(d.whole, "paths", path, method, "responses", "200", "content").(map[string]any)
	if content[answered] == nil {
		t.Errorf("%s %s answers %s, which is not said", method, path, answered)
	} else if answered == "application/json" {
		d.conforms(t, raw, "paths", path, method, "responses", "200", "content", answered, "schema")
	}
}

func everyKindOfModel(t *testing.T) serve.Models {
	t.Helper()
	models := committed(t)
	for _, graph := range []string{
		"two", "same-string", "same-bool", "same-int8", "same-int64", "same-uint64", "same-float16", "same-float64",
	} {
		models[graph] = graphModel(t, graph)
	}
	models["values"] = taskModel(t, "total", "regression")
	models["halves"] = loadBundle(t, bundles+"halves.forgo")
	models["odd name"] = models["iris"]
	return models
}

func TestOpenAPIExamples(t *testing.T) {
	sent := readDocument(t, listen(t, everyKindOfModel(t))).examples(t)
	if sent["get"] < 100 || sent["application/json"] < 70 || sent["text/csv"] < 9 {
		t.Errorf("too few were sent: %v", sent)
	}
}

// Each version is described as it is, as long as it is there.
func TestOpenAPIVersions(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"1", "2", "3"} {
		putVersion(t, root, version)
	}
	_, url, admin := watched(t, root, map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "2", "canary": "3"}}})
	d := readDocument(t, url)
	if sent := d.examples(t); sent["application/json"] < 15 {
		t.Errorf("too few were sent: %v", sent)
	}
	paths := d.whole["paths"].(map[string]any)
	for path, there := range map[string]bool{
		"/v2/models/iris/versions/1/infer": false, "/v2/models/iris/versions/2/infer": true, "/v2/models/iris/versions/3/infer": true,
		"/v1/models/iris/labels/stable:predict": true, "/v1/models/iris/labels/canary:predict": true, "/models/iris": true,
	} {
		if (paths[path] != nil) != there {
			t.Errorf("%s: %v, want %v", path, paths[path] != nil, there)
		}
	}
	for version, want := range map[string]string{"2": "[setosa-2 versicolor-2 virginica-2]", "3": "[setosa-3 versicolor-3 virginica-3]"} {
		if got := fmt.Sprint(at(d.whole, "components", "schemas", "iris."+version+".Label", "enum")); got != want {
			t.Errorf("labels of version %s: %s", version, got)
		}
	}
	putVersion(t, root, "4")
	if status, _, raw := exchange(t, "POST", admin+"/v2/repository/models/iris/load", nil); status != 200 {
		t.Fatalf("%d %s", status, raw)
	}
	paths = readDocument(t, url).whole["paths"].(map[string]any)
	if paths["/v2/models/iris/versions/4/infer"] == nil || paths["/v2/models/iris/versions/2/infer"] == nil && paths["/v2/models/iris/versions/3/infer"] == nil {
		t.Errorf("after version 4 was loaded: %v", slices.Sorted(maps.Keys(paths)))
	}
}

// examples sends all that the document gives, holds the answers to it, and counts by media type.
func (d document) examples(t *testing.T) map[string]int {
	t.Helper()
	sent, ids := map[string]int{}, map[any]bool{}
	d.each(func(path, method string, op map[string]any) {
		if ids[op["operationId"]] {
			t.Errorf("two operations are %q", op["operationId"])
		}
		ids[op["operationId"]] = true
		if method == "get" {
			d.answers(t, method, path, "", nil)
			sent["get"]++
		}
		content, _ := at(op, "requestBody", "content").(map[string]any)
		for kind, media := range content {
			examples, _ := at(media, "examples").(map[string]any)
			for _, e := range examples {
				body, err := json.Marshal(at(e, "value"))
				if err != nil {
					t.Fatal(err)
				}
				if text, ok := at(e, "value").(string); ok && kind != "application/json" {
					body = []byte(text)
				} else {
					d.conforms(t, body, "paths", path, method, "requestBody", "content", kind, "schema")
				}
				d.answers(t, method, path, kind, body)
				sent[kind]++
			}
		}
	})
	return sent
}

// Pictures are not among the examples, so they are sent in every way that the document has.
func TestOpenAPIPictures(t *testing.T) {
	address, models := start(t)
	d := readDocument(t, address)
	raw, _ := golden(t, models["shapes"], "shapes", 0)
	b64 := base64.StdEncoding.EncodeToString(raw)
	d.answers(t, "post", "/models/shapes", "image/jpeg", raw)
	body, kind := form(t, [2]string{"a.jpg", string(raw)}, [2]string{"b.jpg", string(raw)})
	d.answers(t, "post", "/models/shapes", kind, body)
	d.answers(t, "post", "/v2/models/shapes/infer", "application/octet-stream", raw, headerLength, "0")
	for path, bodies := range map[string][]string{
		"/v2/models/shapes/infer": {
			`{"id":"a","inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["` + b64 + `"]}]}`,
			`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1,1],"data":[["` + b64 + `"]]}],"outputs":[{"name":"logits","parameters":{"binary_data":true}},{"name":"probabilities"}]}`,
		},
		"/v1/models/shapes:predict": {
			`{"instances":[{"b64":"` + b64 + `"}]}`, `{"instances":[{"image":{"b64":"` + b64 + `"}}]}`,
			`{"inputs":[{"b64":"` + b64 + `"}]}`, `{"inputs":{"image":[{"b64":"` + b64 + `"}]},"signature_name":"serving_default"}`,
		},
		"/v1/models/shapes/labels/stable:classify": {
			`{"examples":[{"b64":"` + b64 + `"}]}`, `{"examples":[{"image":{"b64":"` + b64 + `"}},{}],"context":{"image":{"b64":"` + b64 + `"}}}`,
		},
	} {
		for _, body := range bodies {
			d.conforms(t, []byte(body), "paths", path, "post", "requestBody", "content", "application/json", "schema")
			d.answers(t, "post", path, "application/json", []byte(body))
		}
	}
}

// The page needs nothing from elsewhere, its policy lets nothing else in, and what comes from
// bundles and requests is escaped.
func TestDocsPage(t *testing.T) {
	models := everyKindOfModel(t)
	models["<b>"] = models["iris"]
	models["a\u202eb\x1b"] = models["iris"]
	address := listen(t, models)
	status, header, raw := exchange(t, "GET", address+"/docs", nil)
	page := string(raw)
	if status != 200 || header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", status, header)
	}
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, want := range []string{
		"curl --data-binary @picture.jpg " + address + "/models/shapes", "setosa", models["shapes"].Digest(), `href="openapi.json"`, "&lt;b&gt;", `a\u202eb\u001b`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, refused := range []string{"<b>", ` src="`, `href="http`, "url(", "@import", "\u202e", "\x1b"} {
		if strings.Contains(strings.ReplaceAll(page, `<b class=`, ""), refused) {
			t.Errorf("the page has %s", refused)
		}
	}
	if page := pageOf(t, address, "a'$(id).example"); strings.Contains(page, "(id)") || !strings.Contains(page, "http://localhost:8080/models/iris") {
		t.Error("a host that is none gets into commands")
	}
}

func pageOf(t *testing.T, address, host string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/docs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What the document says of keys is so: an operation without a key is 401 where it asks for one.
func TestOpenAPISecurity(t *testing.T) {
	keys, secrets := keyring(t)
	server := httptest.NewServer(serve.New(committed(t), serve.Options{Keys: keys, Log: slog.New(slog.DiscardHandler)}).Handler())
	defer server.Close()
	read := func(key string) (whole map[string]any, page string) {
		_, _, raw := exchange(t, "GET", server.URL+"/openapi.json", nil, "X-API-Key", key)
		_, _, html := exchange(t, "GET", server.URL+"/docs", nil, "X-API-Key", key)
		if err := json.Unmarshal(raw, &whole); err != nil {
			t.Fatal(err)
		}
		return whole, string(html)
	}
	whole, page := read(secrets["predict"])
	if at(whole, "components", "securitySchemes", "apiKey", "name") != "X-API-Key" || at(whole, "components", "securitySchemes", "bearer", "scheme") != "bearer" {
		t.Errorf("%v", at(whole, "components", "securitySchemes"))
	}
	if len(whole["security"].([]any)) != 2 {
		t.Errorf("%v", whole["security"])
	}
	open := 0
	document{whole: whole}.each(func(path, method string, op map[string]any) {
		method = strings.ToUpper(method)
		code, _, _ := exchange(t, method, server.URL+path, nil)
		own, said := op["security"].([]any)
		if free := said && len(own) == 0; free != (code != 401) || free == (at(op, "responses", "401") != nil) || free == (at(op, "responses", "403") != nil) {
			t.Errorf("%s %s: %d, security %v, %v", method, path, code, own, op["responses"])
		} else if free {
			open++
		}
	})
	if open != 6 { // live, ready, and each model's with and without its version
		t.Errorf("%d operations need no key", open)
	}
	if !strings.Contains(page, "X-API-Key: $KEY") || strings.Contains(page, secrets["predict"]) {
		t.Error("the page's commands have no place for a key, or have the key")
	}
}
