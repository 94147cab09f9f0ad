package serve_test

// One rule for what a row may hold: spec/rows.md.

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// values are JSON for an element, with what it must become in each type; "" is refused.
var values = []struct{ text, float, integer, unsigned, boolean string }{
	{"5.9", "5.9", "", "", ""},
	{"7", "7", "7", "7", ""},
	{"-0", "-0", "0", "", ""},
	{"-3", "-3", "-3", "", ""},
	{"1.0", "1", "", "", ""},
	{"1e2", "100", "", "", ""},
	{"null", "NaN", "", "", ""},
	{"NaN", "NaN", "", "", ""},
	{"Infinity", "Infinity", "", "", ""},
	{"-Infinity", "-Infinity", "", "", ""},
	{"1e39", "", "", "", ""},
	{"-1e400", "", "", "", ""},
	{"1e-60", "0", "", "", ""},
	{"16777217", "16777216", "16777217", "16777217", ""},
	{"9223372036854775807", "9223372000000000000", "9223372036854775807", "9223372036854775807", ""},
	{"9223372036854775808", "9223372000000000000", "", "9223372036854775808", ""},
	{"18446744073709551615", "18446744000000000000", "", "18446744073709551615", ""},
	{"18446744073709551616", "18446744000000000000", "", "", ""},
	{"0.1000000014901161193847656250000000001", "0.1", "", "", ""},
	{`"7"`, "", "", "", ""},
	{`""`, "", "", "", ""},
	{"true", "", "", "", "true"},
	{"false", "", "", "", "false"},
	{"{}", "", "", "", ""},
	{"[]", "", "", "", ""},
	{"[7]", "", "", "", ""},
	{"[[[7]]]", "", "", "", ""},
	{"nan", "", "", "", ""},
	{"+7", "", "", "", ""},
	{"07", "", "", "", ""},
	{".5", "", "", "", ""},
	{"0x7", "", "", "", ""},
	{"1_0", "", "", "", ""},
}

// Each value is taken, or refused as the caller's fault, in the same way wherever JSON reaches.
func TestOneRuleForEachValue(t *testing.T) {
	models := serve.Models{}
	datatypes := map[string]string{"same-float32": "FP32", "same-int64": "INT64", "same-uint64": "UINT64", "same-bool": "BOOL"}
	for name := range datatypes {
		models[name] = servetest.GraphModel(t, name)
	}
	url := servetest.Listen(t, models)
	for name, datatype := range datatypes {
		d := models[name].Manifest().Inputs[0].DType
		for _, v := range values {
			want := map[string]string{"FP32": v.float, "INT64": v.integer, "UINT64": v.unsigned, "BOOL": v.boolean}[datatype]
			row := "[" + v.text + "," + v.text + "]"
			file, kind := servetest.Form(t, [2]string{"row.json", `{"x":` + row + "}"})
			for _, w := range []struct{ path, kind, body string }{
				{"/models/" + name, "", row},
				{"/models/" + name, "", "[" + row + "]"},
				{"/models/" + name, "", `{"x":` + row + "}"},
				{"/models/" + name, "", `[{"x":` + row + "}]"},
				{"/models/" + name, kind, string(file)},
				{"/models/" + name, "text/csv", "x[0],x[1]\n" + v.text + "," + v.text + "\n"},
				{"/v1/models/" + name + ":predict", "", `{"instances":[` + row + "]}"},
				{"/v1/models/" + name + ":predict", "", `{"instances":[{"x":` + row + "}]}"},
				{"/v1/models/" + name + ":predict", "", `{"inputs":[` + row + "]}"},
				{"/v1/models/" + name + ":predict", "", `{"inputs":{"x":[` + row + "]}}"},
				{"/v2/models/" + name + "/infer", "", `{"inputs":[{"name":"x","datatype":"` + datatype + `","shape":[1,2],"data":` + row + "}]}"},
				{"/v2/models/" + name + "/infer", "", `{"inputs":[{"data":[` + row + `],"name":"x","datatype":"` + datatype + `","shape":[1,2]}]}`},
			} {
				if w.kind == "text/csv" && strings.ContainsAny(v.text, `"[`) {
					continue // of which CSV makes other text
				}
				status, _, answer := servetest.Exchange(t, http.MethodPost, url+w.path, []byte(w.body), "Content-Type", w.kind)
				element := regexpElement(string(answer))
				shown := want
				if strings.HasPrefix(w.path, "/models/") && strings.Trim(want, "-") != want && want[len(want)-1] == 'y' || strings.HasPrefix(w.path, "/models/") && (want == "NaN" || want == "Infinity") {
					shown = "null"
				}
				if strings.HasPrefix(w.path, "/v1/") && datatype == "FP32" && strings.Trim(want, "-0123456789") == "" && want != "" {
					shown += ".0"
				}
				if want == "" && status != http.StatusBadRequest || want != "" && (status != http.StatusOK || element != shown) {
					t.Errorf("%s of %s at %s %.60q: %d %s; want %q", v.text, d, w.path, w.body, status, answer, shown)
				}
			}
			if in, err := models[name].Prepare(t.Context(), []byte(`{"x":`+row+"}")); (err == nil) != (want != "") ||
				err == nil && string(tensor.AppendElements(nil, in["x"], 0, 1, tensor.Bare)) != want {
				t.Errorf("%s of %s in the library: %v, %v; want %q", v.text, d, in["x"], err, want)
			}
		}
	}
}

// regexpElement is the first element of the first innermost list of an answer.
func regexpElement(answer string) string {
	for _, part := range []string{`"y":[`, `"data":[`, `[[`} {
		if _, rest, ok := strings.Cut(answer, part); ok {
			element, _, _ := strings.Cut(rest, ",")
			return element
		}
	}
	return answer
}

// A key that is there twice is refused wherever an object is read.
func TestDuplicateKeys(t *testing.T) {
	models := servetest.Committed(t)
	models["two"] = servetest.GraphModel(t, "two")
	url := servetest.Listen(t, models)
	picture := base64.StdEncoding.EncodeToString([]byte("x"))
	for _, c := range []struct{ path, body string }{
		{"/models/two", `{"a":[1,2],"b":[1,2],"a":[3,4]}`},
		{"/models/two", `[{"a":[1,2],"b":[1,2],"b":[3,4]}]`},
		{"/v1/models/two:predict", `{"instances":[{"a":[1,2],"b":[1,2],"a":[3,4]}]}`},
		{"/v1/models/two:predict", `{"inputs":{"a":[[1,2]],"b":[[1,2]],"a":[[3,4]]}}`},
		{"/v1/models/iris:predict", `{"instances":[[1,2,3,4]],"instances":[[1,2,3,4]]}`},
		{"/v1/models/iris:classify", `{"examples":[{"input":[1,2,3,4],"input":[1,2,3,4]}]}`},
		{"/v1/models/shapes:predict", `{"instances":[{"b64":"` + picture + `","b64":"` + picture + `"}]}`},
		{"/v2/models/iris/infer", `{"inputs":[],"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}`},
		{"/v2/models/iris/infer", `{"inputs":[{"name":"x","name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}`},
	} {
		status, _, answer := servetest.Exchange(t, http.MethodPost, url+c.path, []byte(c.body))
		if status != http.StatusBadRequest || !strings.Contains(string(answer), "twice") {
			t.Errorf("%s %s: %d %s", c.path, c.body, status, answer)
		}
	}
}

// The memory of a body is another's only once it is parsed: callers at once are each answered with
// what they sent, in bodies so long that parsing them is interrupted.
func TestJSONBodiesAreNotMixedUp(t *testing.T) {
	const rows = 4000
	o := predict.Options{Threads: 1, Verify: predict.VerifyQuick, MaxQueueRows: 8 * rows}
	m, err := o.Load(t.Context(), servetest.GraphBundle(t, "same-int64", "tensors"), onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	h := servetest.New(serve.Models{"same": m}).Handler()
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			row := fmt.Sprintf("[%d,%d]", 1_000_000+caller, caller)
			many := strings.Repeat(row+",", rows-1) + row
			for range racetest.Some(15, 3) {
				for path, body := range map[string]string{
					"/models/same":            "[" + many + "]",
					"/v1/models/same:predict": `{"instances":[` + many + "]}",
					"/v2/models/same/infer":   fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"INT64","shape":[%d,2],"data":[%s]}]}`, rows, many),
				} {
					w := servetest.Ask(t.Context(), h, path, body)
					got := strings.NewReplacer("[", "", "]", "").Replace(w.Body.String())
					if n := strings.Count(got, strings.Trim(row, "[]")); w.Code != http.StatusOK || n != rows {
						t.Errorf("%s: %d: %d of %d rows are the caller's: %.200s", path, w.Code, n, rows, got)
						return
					}
				}
			}
		})
	}
	callers.Wait()
}
