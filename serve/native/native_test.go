package native_test

// forgo's own protocol: the thing itself in, labelled answers out.

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
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

// The answer is the library's.
func TestNativeIsTheLibrarysAnswer(t *testing.T) {
	url, models := servetest.Start(t)
	for name, m := range models {
		raw, _ := servetest.Golden(t, m, name, 0)
		answer, err := m.Answer(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		_, _, body := servetest.Exchange(t, "POST", url+"/models/"+name, raw)
		var got predict.Answer
		if err := json.Unmarshal(body, &got); err != nil || !reflect.DeepEqual(got.Classes, answer.Classes) {
			t.Errorf("%s: %s, %v; want %v", name, body, err, answer)
		}
	}
}

func TestNativeVersion(t *testing.T) {
	url, models := servetest.Start(t)
	raw, label := servetest.Golden(t, models["iris"], "iris", 0)
	status, answer := servetest.Call(t, "POST", url+"/models/iris/versions/1?top=1", string(raw))
	if status != 200 || answer["classes"].([]any)[0].(map[string]any)["label"] != label {
		t.Errorf("%d, %v; want %s", status, answer, label)
	}
	if status, answer = servetest.Call(t, "POST", url+"/models/iris/versions/2", string(raw)); status != 404 || !strings.Contains(answer["error"].(string), `no version "2"`) {
		t.Errorf("unknown version: %d, %v", status, answer)
	}
}

func TestNativeForm(t *testing.T) {
	url, models := servetest.Start(t)
	for name, m := range models {
		var files [][2]string
		var labels []string
		for i, c := range m.Manifest().Golden.Cases {
			raw, label := servetest.Golden(t, m, name, i)
			files, labels = append(files, [2]string{c.ID + ".bin", string(raw)}), append(labels, label)
		}
		body, kind := servetest.Form(t, files...)
		status, _, raw := servetest.Exchange(t, "POST", url+"/models/"+name+"?top=1", body, "Content-Type", kind)
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
	models := servetest.Committed(t)
	models["two"] = servetest.GraphModel(t, "two")
	url := servetest.Listen(t, models) + "/models/"
	for _, body := range []string{
		`[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]`, `[{"input":[5.1,3.5,1.4,0.2]},{"input":[6.7,3.0,5.2,2.3]}]`,
	} {
		status, _, raw := servetest.Exchange(t, "POST", url+"iris", []byte(body), "Content-Type", "application/json")
		answers := list(t, status, raw)
		if len(answers) != 2 || firstLabel(answers[0]) != "setosa" || firstLabel(answers[1]) != "virginica" || len(answers[0]) != 1 {
			t.Errorf("%s: %v", body, answers)
		}
	}
	for _, body := range []string{`[5.1,3.5,1.4,0.2]`, `{"input":[5.1,3.5,1.4,0.2]}`} {
		if status, answer := servetest.Call(t, "POST", url+"iris", body); status != 200 || firstLabel(answer) != "setosa" {
			t.Errorf("%s: %d %v", body, status, answer)
		}
	}
	status, _, raw := servetest.Exchange(t, "POST", url+"iris", []byte(`[[5.1,3.5,1.4,0.2]]`))
	if answers := list(t, status, raw); len(answers) != 1 {
		t.Errorf("a list of one row: %v", answers)
	}
	status, _, raw = servetest.Exchange(t, "POST", url+"two", []byte(`[{"a":[1,2],"b":[3,4]},{"a":[0,0],"b":[1,1]}]`))
	if got := fmt.Sprint(list(t, status, raw)); got != "[map[outputs:map[difference:[-2 -2] sum:[4 6]]] map[outputs:map[difference:[-1 -1] sum:[1 1]]]]" {
		t.Errorf("two inputs: %s", got)
	}
}

// Columns go by name, in any order.
func TestNativeCSV(t *testing.T) {
	models := servetest.Committed(t)
	models["two"], models["strings"], models["flags"] = servetest.GraphModel(t, "two"), servetest.GraphModel(t, "same-string"), servetest.GraphModel(t, "same-bool")
	url := servetest.Listen(t, models) + "/models/"
	post := func(model, body string) []map[string]any {
		t.Helper()
		status, _, raw := servetest.Exchange(t, "POST", url+model, []byte(body), "Content-Type", "text/csv; charset=utf-8")
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
	if got := fmt.Sprint(post("strings", "x[0],x[1]\n\"a, \"\"b\"\"\",é\n")); got != `[map[outputs:map[y:[a, "b" é]]]]` {
		t.Errorf("strings: %s", got)
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
	url, _ := servetest.Start(t)
	status, answer := servetest.Call(t, "POST", url+"/models/iris", `[3e38,3e38,3e38,-3e38]`)
	if status != 200 || !strings.Contains(fmt.Sprint(answer), "score:<nil>") {
		t.Errorf("%d %v", status, answer)
	}
}
