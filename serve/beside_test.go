package serve_test

// A model that takes a picture beside other inputs. That every protocol answers its golden cases
// is for tests/test_export_mixed.py and forgo verify --url; here are the ways to ask and to be refused.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// halves is a model of a picture and a row, with a golden case: the picture in base64, and the row.
func halves(t *testing.T) (models serve.Models, picture, row string, raw []byte, label string) {
	t.Helper()
	m := servetest.Load(t, servetest.Bundles+"halves.forgo")
	raw, label = servetest.Golden(t, m, "halves", 0)
	var sent struct {
		Image struct{ B64 string }
		Ink   json.RawMessage
	}
	if err := json.Unmarshal(raw, &sent); err != nil {
		t.Fatal(err)
	}
	return serve.Models{"halves": m}, sent.Image.B64, string(sent.Ink), raw, label
}

// Every way to ask is in the document, and gives the golden case's answer.
func TestAPictureBesideOtherInputs(t *testing.T) {
	models, picture, row, raw, label := halves(t)
	d := servetest.ReadDocument(t, servetest.Listen(t, models))
	named := fmt.Sprintf(`{"image":{"b64":"%s"},"ink":%s}`, picture, row)
	inputs := fmt.Sprintf(`{"name":"image","datatype":"BYTES","shape":[1],"data":["%s"]},{"name":"ink","datatype":"FP32","shape":[1,4],"data":%s}`, picture, row)
	for path, bodies := range map[string][]string{
		"/models/halves":            {string(raw), named, "[" + named + "]"},
		"/v2/models/halves/infer":   {`{"inputs":[` + inputs + `]}`},
		"/v1/models/halves:predict": {`{"instances":[` + named + `]}`, fmt.Sprintf(`{"inputs":{"image":[{"b64":"%s"}],"ink":[%s]}}`, picture, row)},
		"/v1/models/halves:classify": {
			`{"examples":[` + named + `]}`, fmt.Sprintf(`{"examples":[{"image":{"b64":"%s"}}],"context":{"ink":%s}}`, picture, row),
		},
	} {
		for _, body := range bodies {
			d.Conforms(t, []byte(body), "paths", path, "post", "requestBody", "content", "application/json", "schema")
			d.Answers(t, "post", path, "application/json", []byte(body))
			_, _, answer := servetest.Exchange(t, "POST", d.URL+path, []byte(body), "Content-Type", "application/json")
			if got := bestOf(t, answer, models["halves"].Manifest().Labels); got != label {
				t.Errorf("%s %.60s: label %q, want %q: %s", path, body, got, label, answer)
			}
		}
	}
	body, kind := servetest.Form(t, [2]string{"a.json", named}, [2]string{"b.json", named})
	d.Answers(t, "post", "/models/halves", kind, body)
	status, _, answer := servetest.Exchange(t, "GET", d.URL+"/v2/models/halves", nil)
	var metadata struct {
		Inputs []struct{ Name, Datatype string }
	}
	if err := json.Unmarshal(answer, &metadata); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	if got := fmt.Sprint(metadata.Inputs); got != "[{image BYTES} {ink FP32}]" {
		t.Errorf("the metadata lists %s", got)
	}
}

// bestOf is the best class in an answer of any protocol.
func bestOf(t *testing.T, answer []byte, labels []string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(answer, &value); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	if list, ok := value.([]any); ok {
		value = list[0]
	}
	if classes, ok := servetest.At(value, "classes").([]any); ok {
		return classes[0].(map[string]any)["label"].(string)
	}
	first := func(v any) []any { return v.([]any)[0].([]any) }
	var scores []any
	switch {
	case servetest.At(value, "model_name") != nil:
		scores = servetest.At(servetest.At(value, "outputs").([]any)[0], "data").([]any)
	case servetest.At(value, "results") != nil:
		for _, pair := range first(servetest.At(value, "results")) {
			scores = append(scores, pair.([]any)[1])
		}
	case servetest.At(value, "predictions") != nil:
		scores = first(servetest.At(value, "predictions"))
	default:
		scores = first(servetest.At(value, "outputs"))
	}
	best := 0
	for i, score := range scores {
		if score.(float64) > scores[best].(float64) {
			best = i
		}
	}
	return labels[best]
}

func TestAPictureBesideOtherInputsIsRefused(t *testing.T) {
	models, picture, row, _, _ := halves(t)
	url := servetest.Listen(t, models)
	image := fmt.Sprintf(`"image":{"b64":"%s"}`, picture)
	pixels := fmt.Sprintf(`{"name":"photo","datatype":"FP32","shape":[1,16,32,3],"data":[%s]}`, strings.TrimSuffix(strings.Repeat("0,", 16*32*3), ","))
	bytes := fmt.Sprintf(`{"name":"image","datatype":"BYTES","shape":[1],"data":["%s"]}`, picture)
	ink := fmt.Sprintf(`{"name":"ink","datatype":"FP32","shape":[1,4],"data":%s}`, row)
	for _, test := range []struct{ path, body, says string }{
		{"/models/halves", `{"ink":` + row + `}`, `"image", the picture, is missing`},
		{"/models/halves", `{` + image + `}`, `"ink" is missing`},
		{"/models/halves", `{` + image + `,"ink":` + row + `,"more":1}`, `no input "more"`},
		{"/models/halves", `{"image":"` + picture + `","ink":` + row + `}`, `send a picture as {"b64": "..."}`},
		{"/models/halves", `{"image":{"b64":"!"},"ink":` + row + `}`, "not base64"},
		{"/models/halves", `[{"image":{"b64":"AAAA"},"ink":` + row + `}]`, `row 0: input "image": `},
		{"/models/halves", "ÿØÿ", "JSON"},
		{"/models/halves", "[1]", `parse JSON row: not an object: send every input by its name, the picture as "image": {"b64": "..."}`},
		{"/v2/models/halves/infer", `{"inputs":[` + bytes + `]}`, `"ink"`},
		{"/v2/models/halves/infer", `{"inputs":[` + ink + `]}`, `photo`},
		{"/v2/models/halves/infer", `{"inputs":[` + bytes + `,` + bytes + `,` + ink + `]}`, `"image" occurs twice`},
		{"/v2/models/halves/infer", `{"inputs":[` + bytes + `,` + pixels + `,` + ink + `]}`, `"photo", which it becomes`},
		{"/v2/models/halves/infer", `{"inputs":[{"name":"image","datatype":"BYTES","shape":[2],"data":["` + picture + `","` + picture + `"]},` + ink + `]}`, "rows"},
		{"/v1/models/halves:predict", `{"instances":[{` + image + `}]}`, "ink"},
		{"/v1/models/halves:predict", `{"instances":[{"b64":"` + picture + `"}]}`, "send each by name"},
		{"/v1/models/halves:predict", `{"inputs":{"image":[{"b64":"` + picture + `"}],"photo":[],"ink":[` + row + `]}}`, "photo"},
	} {
		status, _, answer := servetest.Exchange(t, "POST", url+test.path, []byte(test.body), "Content-Type", "application/json")
		if status != http.StatusBadRequest || !strings.Contains(strings.ReplaceAll(string(answer), `\"`, `"`), test.says) {
			t.Errorf("%s %.80s: %d %s, want 400 with %q", test.path, test.body, status, answer, test.says)
		}
	}
}
