package serve_test

// forgo's own protocol: the thing itself in, labelled answers out.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve"
)

// list decodes an answer that is a list of objects.
func list(tb testing.TB, status int, raw []byte) []map[string]any {
	tb.Helper()
	var out []map[string]any
	if err := json.Unmarshal(raw, &out); status != 200 || err != nil {
		tb.Fatalf("%d %s: %v", status, raw, err)
	}
	return out
}

func firstLabel(answer map[string]any) string {
	classes, _ := answer["classes"].([]any)
	if len(classes) == 0 {
		return ""
	}
	return classes[0].(map[string]any)["label"].(string)
}

// form makes a multipart body of files, each a name and its content.
func form(tb testing.TB, files ...[2]string) (body []byte, contentType string) {
	tb.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, file := range files {
		part, err := w.CreateFormFile("files", file[0])
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := part.Write([]byte(file[1])); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

// The answer is the library's.
func TestNativeIsTheLibrarysAnswer(t *testing.T) {
	url, models := start(t)
	for name, m := range models {
		raw, _ := golden(t, m, name, 0)
		answer, err := m.Answer(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		_, _, body := exchange(t, "POST", url+"/models/"+name, raw)
		var got predict.Answer
		if err := json.Unmarshal(body, &got); err != nil || !reflect.DeepEqual(got.Classes, answer.Classes) {
			t.Errorf("%s: %s, %v; want %v", name, body, err, answer)
		}
	}
}

func TestNativeVersion(t *testing.T) {
	url, models := start(t)
	raw, label := golden(t, models["iris"], "iris", 0)
	status, answer := call(t, "POST", url+"/models/iris/versions/1?top=1", string(raw))
	if status != 200 || answer["classes"].([]any)[0].(map[string]any)["label"] != label {
		t.Errorf("%d, %v; want %s", status, answer, label)
	}
	if status, answer = call(t, "POST", url+"/models/iris/versions/2", string(raw)); status != 404 || !strings.Contains(answer["error"].(string), `no version "2"`) {
		t.Errorf("unknown version: %d, %v", status, answer)
	}
}

func TestNativeForm(t *testing.T) {
	url, models := start(t)
	for name, m := range models {
		var files [][2]string
		var labels []string
		for i, c := range m.Manifest().Golden.Cases {
			raw, label := golden(t, m, name, i)
			files, labels = append(files, [2]string{c.ID + ".bin", string(raw)}), append(labels, label)
		}
		body, kind := form(t, files...)
		status, _, raw := exchange(t, "POST", url+"/models/"+name+"?top=1", body, "Content-Type", kind)
		answers := list(t, status, raw)
		if len(answers) != len(files) {
			t.Fatalf("%s: %d answers for %d files", name, len(answers), len(files))
		}
		for i, a := range answers {
			if a["file"] != files[i][0] || firstLabel(a) != labels[i] || len(a["classes"].([]any)) != 1 {
				t.Errorf("%s file %d: %v, want %s", name, i, a, labels[i])
			}
		}
	}
}

func TestNativeRows(t *testing.T) {
	models := committed(t)
	models["two"] = graphModel(t, "two")
	url := listen(t, models) + "/models/"
	for _, body := range []string{
		`[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]`, `[{"input":[5.1,3.5,1.4,0.2]},{"input":[6.7,3.0,5.2,2.3]}]`,
	} {
		status, _, raw := exchange(t, "POST", url+"iris", []byte(body), "Content-Type", "application/json")
		answers := list(t, status, raw)
		if len(answers) != 2 || firstLabel(answers[0]) != "setosa" || firstLabel(answers[1]) != "virginica" || len(answers[0]) != 1 {
			t.Errorf("%s: %v", body, answers)
		}
	}
	for _, body := range []string{`[5.1,3.5,1.4,0.2]`, `{"input":[5.1,3.5,1.4,0.2]}`} {
		if status, answer := call(t, "POST", url+"iris", body); status != 200 || firstLabel(answer) != "setosa" {
			t.Errorf("%s: %d %v", body, status, answer)
		}
	}
	status, _, raw := exchange(t, "POST", url+"iris", []byte(`[[5.1,3.5,1.4,0.2]]`))
	if answers := list(t, status, raw); len(answers) != 1 {
		t.Errorf("a list of one row: %v", answers)
	}
	status, _, raw = exchange(t, "POST", url+"two", []byte(`[{"a":[1,2],"b":[3,4]},{"a":[0,0],"b":[1,1]}]`))
	if got := fmt.Sprint(list(t, status, raw)); got != "[map[outputs:map[difference:[-2 -2] sum:[4 6]]] map[outputs:map[difference:[-1 -1] sum:[1 1]]]]" {
		t.Errorf("two inputs: %s", got)
	}
}

// Columns go by name, in any order.
func TestNativeCSV(t *testing.T) {
	models := committed(t)
	models["two"], models["texts"], models["flags"] = graphModel(t, "two"), graphModel(t, "same-string"), graphModel(t, "same-bool")
	url := listen(t, models) + "/models/"
	post := func(model, body string) []map[string]any {
		t.Helper()
		status, _, raw := exchange(t, "POST", url+model, []byte(body), "Content-Type", "text/csv; charset=utf-8")
		return list(t, status, raw)
	}
	answers := post("iris", "\ufeffinput[0],input[1],input[2],input[3]\r\n5.1,3.5,1.4,0.2\r\n6.7, 3.0 ,5.2,2.3\r\n")
	if len(answers) != 2 || firstLabel(answers[0]) != "setosa" || firstLabel(answers[1]) != "virginica" {
		t.Errorf("%v", answers)
	}
	turned := post("iris", "input[3],input[2],input[1],input[0]\n0.2,1.4,3.5,5.1\n2.3,5.2,3.0,6.7\n")
	if !reflect.DeepEqual(turned, answers) {
		t.Errorf("another order of columns: %v, want %v", turned, answers)
	}
	if got := fmt.Sprint(post("two", "b[0],a[0],a[1],b[1]\n3,1,2,4\n")); got != "[map[outputs:map[difference:[-2 -2] sum:[4 6]]]]" {
		t.Errorf("two inputs: %s", got)
	}
	if got := fmt.Sprint(post("texts", "x[0],x[1]\n\"a, \"\"b\"\"\",é\n")); got != `[map[outputs:map[y:[a, "b" é]]]]` {
		t.Errorf("texts: %s", got)
	}
	if got := fmt.Sprint(post("flags", "x[0],x[1]\nTrue,false\n")); got != "[map[outputs:map[y:[true false]]]]" {
		t.Errorf("booleans: %s", got)
	}
	if answers := post("iris", "input[0],input[1],input[2],input[3]\n"); len(answers) != 0 {
		t.Errorf("no rows: %v", answers)
	}
}

// A score that is not a number is null, not a failure.
func TestNativeNotANumber(t *testing.T) {
	url, _ := start(t)
	status, answer := call(t, "POST", url+"/models/iris", `[3e38,3e38,3e38,-3e38]`)
	if status != 200 || !strings.Contains(fmt.Sprint(answer), "score:<nil>") {
		t.Errorf("%d %v", status, answer)
	}
}

// nativeFaults are those of forms, CSV and rows.
func nativeFaults(t *testing.T, models serve.Models) []bad {
	t.Helper()
	picture, _ := golden(t, models["shapes"], "shapes", 0)
	row, _ := golden(t, models["iris"], "iris", 0)
	good, goodKind := form(t, [2]string{"a.png", string(picture)}, [2]string{"b.png", "hello"})
	noFiles, noFilesKind := form(t)
	var field bytes.Buffer
	w := multipart.NewWriter(&field)
	if part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="top"`}}); err != nil {
		t.Fatal(err)
	} else if _, err := part.Write([]byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	badRow, badRowKind := form(t, [2]string{"a.json", string(row)}, [2]string{"b.json", "[1]"})
	many, manyKind := form(t, slices.Repeat([][2]string{{"x", "x"}}, 300)...)
	const header = "input[0],input[1],input[2],input[3]\n"
	var all []bad
	for kind, c := range map[string]struct {
		model, kind, body string
		status            int
		names             string
	}{
		"top no number":           {"iris?top=many", "", string(row), 400, "top"},
		"top below 0":             {"iris?top=-1", "", string(row), 400, "top"},
		"CSV for pictures":        {"shapes", "text/csv", header, 400, "text/csv"},
		"form without boundary":   {"shapes", "multipart/form-data", "x", 400, "boundary"},
		"form cut short":          {"shapes", goodKind, string(good[:len(good)-20]), 400, "body"},
		"form cut before its end": {"shapes", goodKind, string(good[:bytes.LastIndex(good, []byte("\r\n--"))]) + "\r\n", 400, "body"},
		"form that is none":       {"shapes", goodKind, "hello", 400, "body"},
		"form without files":      {"shapes", noFilesKind, string(noFiles), 400, "no files"},
		"form with a field":       {"shapes", w.FormDataContentType(), field.String(), 400, `"top"`},
		"form with a bad file":    {"shapes", goodKind, string(good), 400, `"b.png"`},
		"form with a bad row":     {"iris", badRowKind, string(badRow), 400, `"b.json"`},
		"too many pictures":       {"shapes", manyKind, string(many), 400, "at most 256"},
		"empty row":               {"iris", "", "", 400, `"input"`},
		"ragged rows":             {"iris", "", "[[1,2,3,4],[1]]", 400, "ragged"},
		"unknown input":           {"iris", "", `{"other":[1,2,3,4]}`, 400, `"input"`},
		"bad row of many":         {"iris", "", `[{"input":[1,2,3,4]},{"input":[1]}]`, 400, "row 1"},
		"rows cut short":          {"iris", "", `[{"input":[1,2,3,4]}`, 400, "JSON rows"},
		"bare row for two":        {"two", "", "[1,2]", 400, "2 inputs"},
		"CSV without header":      {"iris", "text/csv", "", 400, "header"},
		"CSV unknown column":      {"iris", "text/csv", "width\n1\n", 400, `"width"`},
		"CSV column missing":      {"iris", "text/csv", "input[0],input[1],input[2]\n1,2,3\n", 400, `"input[3]" is missing`},
		"CSV column twice":        {"iris", "text/csv", "input[0],input[0]\n1,2\n", 400, "twice"},
		"CSV short row":           {"iris", "text/csv", header + "1,2\n", 400, "line 2"},
		"CSV word":                {"iris", "text/csv", header + "1,2,3,4\n1,2,x,4\n", 400, `line 3, column "input[2]"`},
		"CSV empty cell":          {"iris", "text/csv", header + "1,,3,4\n", 400, `column "input[1]": the cell is empty`},
		"CSV list in a cell":      {"iris", "text/csv", header + "[1],2,3,4\n", 400, `column "input[0]"`},
		"CSV two in a cell":       {"iris", "text/csv", header + "\"1,2\",2,3,4\n", 400, `column "input[0]"`},
		"CSV open quote":          {"iris", "text/csv", header + "\"1,2,3,4\n", 400, "CSV"},
		"CSV of FP16":             {"halves", "text/csv", "x[0],x[1]\n1,2\n", 400, `"x"`},
		"CSV in another charset":  {"strings", "text/csv", "x[0],x[1]\na,Gr\xfcn\n", 400, `line 2, column "x[1]": "Gr\xfcn" is not UTF-8`},
		"form over the limit":     {"shapes", goodKind, string(good[:200]) + strings.Repeat("x", 2*maxBody), 413, "longer"},
	} {
		var headers []string
		if c.kind != "" {
			headers = []string{"Content-Type", c.kind}
		}
		all = append(all, bad{kind, "", "/models/" + c.model, c.body, headers, c.status, c.names})
	}
	return all
}

func TestNativeBadRequests(t *testing.T) {
	models := badModels(t)
	refuse(t, listen(t, models), nativeFaults(t, models))
}
