package openapi_test

// The OpenAPI document says what the server does: what it gives as examples is answered, and
// answers are as it says, to the last field.

import (
	"archive/zip"
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

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/repository"
)

func everyKindOfModel(t *testing.T) serve.Models {
	t.Helper()
	models := servetest.Committed(t)
	for _, graph := range []string{
		"two", "same-string", "same-bool", "same-int8", "same-int64", "same-uint64", "same-float16", "same-float64", "half-plus-three",
	} {
		models[graph] = servetest.GraphModel(t, graph)
	}
	models["values"], models["scores"] = servetest.TaskModel(t, "total", "regression"), servetest.TaskModel(t, "total", "ranking")
	models["halves"] = servetest.Load(t, servetest.Bundles+"halves.forgo")
	models["odd name"] = models["iris"]
	return models
}

func TestOpenAPIExamples(t *testing.T) {
	sent := servetest.ReadDocument(t, servetest.Listen(t, everyKindOfModel(t))).Examples(t)
	if sent["get"] < 100 || sent["application/json"] < 70 || sent["text/csv"] < 9 {
		t.Errorf("too few were sent: %v", sent)
	}
}

// Each version is described as it is, as long as it is there.
func TestOpenAPIVersions(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"1", "2", "3"} {
		servetest.PutVersion(t, root, version)
	}
	_, url, admin := servetest.Watched(t, root, map[string]repository.Settings{"iris": {Labels: map[string]string{"stable": "2", "canary": "3"}}})
	d := servetest.ReadDocument(t, url)
	if sent := d.Examples(t); sent["application/json"] < 15 {
		t.Errorf("too few were sent: %v", sent)
	}
	paths := d.Whole["paths"].(map[string]any)
	for path, there := range map[string]bool{
		"/v2/models/iris/versions/1/infer": false, "/v2/models/iris/versions/2/infer": true, "/v2/models/iris/versions/3/infer": true,
		"/v1/models/iris/labels/stable:predict": true, "/v1/models/iris/labels/canary:predict": true, "/models/iris": true,
	} {
		if (paths[path] != nil) != there {
			t.Errorf("%s: %v, want %v", path, paths[path] != nil, there)
		}
	}
	for version, want := range map[string]string{"2": "[setosa-2 versicolor-2 virginica-2]", "3": "[setosa-3 versicolor-3 virginica-3]"} {
		if got := fmt.Sprint(servetest.At(d.Whole, "components", "schemas", "iris."+version+".Label", "enum")); got != want {
			t.Errorf("labels of version %s: %s", version, got)
		}
	}
	servetest.PutVersion(t, root, "4")
	if status, _, raw := servetest.Exchange(t, "POST", admin+"/v2/repository/models/iris/load", nil); status != 200 {
		t.Fatalf("%d %s", status, raw)
	}
	paths = servetest.ReadDocument(t, url).Whole["paths"].(map[string]any)
	if paths["/v2/models/iris/versions/4/infer"] == nil || paths["/v2/models/iris/versions/2/infer"] == nil && paths["/v2/models/iris/versions/3/infer"] == nil {
		t.Errorf("after version 4 was loaded: %v", slices.Sorted(maps.Keys(paths)))
	}
}

// Pictures are not among the examples, so they are sent in every way that the document has.
func TestOpenAPIPictures(t *testing.T) {
	address, models := servetest.Start(t)
	d := servetest.ReadDocument(t, address)
	raw, _ := servetest.Golden(t, models["shapes"], "shapes", 0)
	b64 := base64.StdEncoding.EncodeToString(raw)
	d.Answers(t, "post", "/models/shapes", "image/jpeg", raw)
	asRow, named := `{"b64":"`+b64+`"}`, `{"image":{"b64":"`+b64+`"}}`
	for _, body := range []string{asRow, named, "[" + asRow + "," + named + "]"} {
		d.Conforms(t, []byte(body), "paths", "/models/shapes", "post", "requestBody", "content", "application/json", "schema")
		d.Answers(t, "post", "/models/shapes", "application/json", []byte(body))
	}
	d.Answers(t, "post", "/models/shapes", "application/x-ndjson", []byte(asRow+"\n"+named))
	body, kind := servetest.Form(t, [2]string{"a.jpg", string(raw)}, [2]string{"b.jpg", string(raw)})
	d.Answers(t, "post", "/models/shapes", kind, body)
	d.Answers(t, "post", "/v2/models/shapes/infer", "application/octet-stream", raw, servetest.HeaderLength, "0")
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
			d.Conforms(t, []byte(body), "paths", path, "post", "requestBody", "content", "application/json", "schema")
			d.Answers(t, "post", path, "application/json", []byte(body))
		}
	}
}

// Every form that the server takes is in the document, also of models whose rows are too long to be shown, and
// none that it refuses.
func TestOpenAPIHasEveryForm(t *testing.T) {
	models := everyKindOfModel(t)
	d := servetest.ReadDocument(t, servetest.Listen(t, models))
	npy := func(descr, shape, data string) []byte {
		header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape)
		return []byte("\x93NUMPY\x01\x00" + string([]byte{byte(len(header)), 0}) + header + data)
	}
	bodies := map[string][]byte{
		"application/json":     []byte("[5.1,3.5,1.4,0.2]"),
		"application/x-ndjson": []byte("[5.1,3.5,1.4,0.2]\n[5.1,3.5,1.4,0.2]"),
		"application/jsonl":    []byte(`{"input":[5.1,3.5,1.4,0.2]}`),
		"text/csv":             []byte("5.1,3.5,1.4,0.2"),
		"application/x-npy":    npy("|u1", "(1, 4)", "\x05\x03\x01\x00"),
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	f, err := w.Create("input.npy")
	if err == nil {
		_, err = f.Write(bodies["application/x-npy"])
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	bodies["application/x-npz"] = packed.Bytes()
	form, kind := servetest.Form(t, [2]string{"a.json", "[5.1,3.5,1.4,0.2]"})
	content := func(model string) map[string]any {
		return servetest.At(d.Whole, "paths", "/models/"+model, "post", "requestBody", "content").(map[string]any)
	}
	if said := slices.Sorted(maps.Keys(content("iris"))); len(said) != len(bodies)+1 || content("iris")["multipart/form-data"] == nil {
		t.Errorf("the document has the forms %q", said)
	}
	d.Answers(t, "post", "/models/iris", kind, form)
	for kind, body := range bodies {
		if content("iris")[kind] == nil {
			t.Errorf("%s is not said", kind)
		}
		d.Answers(t, "post", "/models/iris", kind, body)
	}
	for model, m := range models { // a table of nothing tells by its refusal whether tables are taken
		for kind, refusal := range map[string]string{"text/csv": "which CSV cannot hold", "application/x-npy": "one array", "application/x-npz": "takes pictures"} {
			body := bodies[kind]
			if kind == "text/csv" {
				body = []byte("a,b\nc,d")
			}
			_, _, answer := servetest.Exchange(t, "POST", d.URL+"/models/"+url.PathEscape(model), body, "Content-Type", kind)
			refused := strings.Contains(string(answer), refusal) || strings.Contains(string(answer), "takes pictures")
			if said := content(url.PathEscape(model))[kind] != nil; said == refused {
				t.Errorf("%s (%v) with %s: said %v, answered %s", model, m.Manifest().Inputs, kind, said, answer)
			}
		}
	}
}

// A value without a list around it is one row of TensorFlow Serving's columns, and so is its answer.
func TestOpenAPIBareValues(t *testing.T) {
	d := servetest.ReadDocument(t, servetest.Listen(t, serve.Models{"half": servetest.GraphModel(t, "half-plus-three")}))
	for path, bodies := range map[string][]string{
		"/v1/models/half:predict": {`{"inputs":1.0}`, `{"inputs":{"x":1.0}}`, `{"inputs":[1.0]}`, `{"instances":[1.0,2.0]}`, `{"instances":[{"x":1.0}]}`},
		"/models/half":            {`1.0`, `[1.0,2.0]`, `{"x":1.0}`, `[{"x":1.0}]`},
	} {
		for _, body := range bodies {
			d.Conforms(t, []byte(body), "paths", path, "post", "requestBody", "content", "application/json", "schema")
			d.Answers(t, "post", path, "application/json", []byte(body))
		}
	}
}

// The page needs nothing from elsewhere, its policy lets nothing else in, and what comes from
// bundles and requests is escaped.
func TestDocsPage(t *testing.T) {
	models := everyKindOfModel(t)
	models["<b>"] = models["iris"]
	models["a\u202eb\x1b"] = models["iris"]
	address := servetest.Listen(t, models)
	status, header, raw := servetest.Exchange(t, "GET", address+"/docs", nil)
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
	keys, secrets := servetest.Keyring(t)
	server := httptest.NewServer(serve.New(servetest.Committed(t), serve.Options{Keys: keys, Log: slog.New(slog.DiscardHandler)}).Handler())
	defer server.Close()
	read := func(key string) (whole map[string]any, page string) {
		_, _, raw := servetest.Exchange(t, "GET", server.URL+"/openapi.json", nil, "X-API-Key", key)
		_, _, html := servetest.Exchange(t, "GET", server.URL+"/docs", nil, "X-API-Key", key)
		if err := json.Unmarshal(raw, &whole); err != nil {
			t.Fatal(err)
		}
		return whole, string(html)
	}
	whole, page := read(secrets["predict"])
	if servetest.At(whole, "components", "securitySchemes", "apiKey", "name") != "X-API-Key" || servetest.At(whole, "components", "securitySchemes", "bearer", "scheme") != "bearer" {
		t.Errorf("%v", servetest.At(whole, "components", "securitySchemes"))
	}
	if len(whole["security"].([]any)) != 2 {
		t.Errorf("%v", whole["security"])
	}
	open := 0
	servetest.Document{Whole: whole}.Each(func(path, method string, op map[string]any) {
		method = strings.ToUpper(method)
		code, _, _ := servetest.Exchange(t, method, server.URL+path, nil)
		own, said := op["security"].([]any)
		if free := said && len(own) == 0; free != (code != 401) || free == (servetest.At(op, "responses", "401") != nil) || free == (servetest.At(op, "responses", "403") != nil) {
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
