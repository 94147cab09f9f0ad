package serve_test

// Whatever is sent, a server of real models answers 200 or a 4xx with an error.

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/corpus"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// fuzzed sends a body and returns the answer of a 200.
func fuzzed(t *testing.T, h http.Handler, path string, body []byte, headers ...string) []byte {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code == http.StatusOK {
		return w.Body.Bytes()
	}
	var answer map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code < 400 || w.Code > 499 || answer["error"] == "" {
		t.Fatalf("status %d, %q", w.Code, w.Body)
	}
	return nil
}

// answered counts the answers of a list; each has its three classes.
func answered(t *testing.T, raw []byte) int {
	t.Helper()
	var answers []struct {
		Classes []struct {
			Label string
			Score *float32
		}
	}
	if err := json.Unmarshal(raw, &answers); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	for _, a := range answers {
		if len(a.Classes) != 3 {
			t.Fatalf("%q", raw)
		}
	}
	return len(answers)
}

// csvCells are the rows of a CSV that a server has answered, by their columns' names, as
// encoding/csv reads them.
func csvCells(t *testing.T, body []byte) []map[string]string {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil || len(records) == 0 {
		t.Fatalf("%q is answered, and encoding/csv says %v", body, err)
	}
	rows := []map[string]string{}
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, cell := range record {
			row[strings.TrimSpace(strings.TrimPrefix(records[0][i], "\ufeff"))] = cell
		}
		rows = append(rows, row)
	}
	return rows
}

// csvAnswers are the outputs of each row; numbers that are not finite are null.
func csvAnswers[T any](t *testing.T, raw []byte) []map[string][]T {
	t.Helper()
	var answers []struct{ Outputs map[string][]T }
	if err := json.Unmarshal(raw, &answers); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	var list []map[string][]T
	for _, a := range answers {
		list = append(list, a.Outputs)
	}
	return list
}

// The values that a CSV's cells have are those that encoding/csv and strconv read.
func FuzzCSV(f *testing.F) {
	corpus.Add(f)
	models := servetest.Committed(f)
	models["two"], models["strings"], models["flags"] = servetest.GraphModel(f, "two"), servetest.GraphModel(f, "same-string"), servetest.GraphModel(f, "same-bool")
	h := servetest.New(models).Handler()
	const header = "input[0],input[1],input[2],input[3]\n"
	for _, seed := range []string{
		header + "1,2,3,4\n", header, header + "1,2,3\n", "input[0]\n1\n", "\"input[0]\" ,\n", header + "\"1\",NaN,-0,1e9\n", "\ufeff" + header,
		"b[0],a[0],a[1],b[1]\n3,1,2,4\n-0.1,1e-40,3.4e38,NaN\n", "x[0],x[1]\nTrue,false\n", "x[1], x[0]\n\"a, \"\"b\"\"\",\xc3\xa9\nNaN,\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if raw := fuzzed(t, h, "/models/iris", body, "Content-Type", "text/csv; header=present"); raw != nil {
			if rows := csvCells(t, body); answered(t, raw) != len(rows) {
				t.Fatalf("%q to %q", raw, body)
			}
		}
		if raw := fuzzed(t, h, "/models/two", body, "Content-Type", "text/csv; header=present"); raw != nil {
			rows, answers := csvCells(t, body), csvAnswers[*float32](t, raw)
			if len(answers) != len(rows) {
				t.Fatalf("%q to %q", raw, body)
			}
			for i, row := range rows {
				for j := range 2 {
					a, b := float32Cell(t, row[fmt.Sprintf("a[%d]", j)]), float32Cell(t, row[fmt.Sprintf("b[%d]", j)])
					for name, want := range map[string]float32{"sum": a + b, "difference": a - b} {
						got := answers[i][name][j]
						if finite := !math.IsNaN(float64(want)) && !math.IsInf(float64(want), 0); finite != (got != nil) || finite && *got != want {
							t.Fatalf("%s of row %d of %q: %q, want %v", name, i, body, raw, want)
						}
					}
				}
			}
		}
		if raw := fuzzed(t, h, "/models/strings", body, "Content-Type", "text/csv; header=present"); raw != nil {
			rows, answers := csvCells(t, body), csvAnswers[string](t, raw)
			if len(answers) != len(rows) {
				t.Fatalf("%q to %q", raw, body)
			}
			for i, row := range rows {
				if want := []string{row["x[0]"], row["x[1]"]}; !slices.Equal(answers[i]["y"], want) {
					t.Fatalf("row %d of %q: %q, want %q", i, body, answers[i], want)
				}
			}
		}
		if raw := fuzzed(t, h, "/models/flags", body, "Content-Type", "text/csv; header=present"); raw != nil {
			rows, answers := csvCells(t, body), csvAnswers[bool](t, raw)
			if len(answers) != len(rows) {
				t.Fatalf("%q to %q", raw, body)
			}
			for i, row := range rows {
				for j, got := range answers[i]["y"] {
					want, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(row[fmt.Sprintf("x[%d]", j)])))
					if err != nil || got != want {
						t.Fatalf("row %d of %q: %v, want %v, %v", i, body, got, want, err)
					}
				}
			}
		}
	})
}

func float32Cell(t *testing.T, text string) float32 {
	t.Helper()
	x, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
	if err != nil {
		t.Fatalf("cell %q is answered, and strconv says %v", text, err)
	}
	return float32(x)
}

func FuzzForm(f *testing.F) {
	corpus.Add(f)
	models := servetest.Committed(f)
	h := servetest.New(models).Handler()
	row, _ := servetest.Golden(f, models["iris"], "iris", 0)
	good, _ := servetest.Form(f, [2]string{"a.json", string(row)}, [2]string{"b.json", string(row)})
	boundary := string(good[2:bytes.IndexByte(good, '\r')])
	f.Add(good, boundary)
	f.Add(good[:len(good)-9], boundary)
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n[1,2,3,4]\r\n--x--\r\n"), "x")
	f.Add([]byte("--x\r\n\r\n\r\n--x--"), "x")
	picture, _ := servetest.Golden(f, models["shapes"], "shapes", 0)
	pictures, _ := servetest.Form(f, [2]string{"a.jpg", string(picture)}, [2]string{"b.jpg", string(picture)})
	f.Add(pictures, string(pictures[2:bytes.IndexByte(pictures, '\r')]))
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		for _, path := range []string{"/models/iris", "/models/shapes"} {
			if raw := fuzzed(t, h, path, body, "Content-Type", "multipart/form-data; boundary="+boundary); raw != nil {
				if n := answered(t, raw); n == 0 || n > bytes.Count(body, []byte(boundary)) {
					t.Fatalf("%d answers to %q", n, body)
				}
			}
		}
	})
}

func FuzzTFServing(f *testing.F) {
	corpus.Add(f)
	h := servetest.New(servetest.Committed(f)).Handler()
	for _, seed := range []string{
		`{"instances":[[1,2,3,4],[NaN,2,3,4]]}`, `{"instances":[{"input":[1,2,3,4]}]}`, `{"inputs":{"input":[[1,2,3,4]]},"signature_name":"serving_default"}`,
		`{"examples":[{"input":[1,2,3,4]},{}],"context":{"input":[1,2,3,4]}}`, `{"instances":[{"b64":"YQ=="}]}`, `{"inputs":[]}`,
	} {
		for verb := range uint8(2) {
			f.Add([]byte(seed), verb)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, verb uint8) {
		fuzzed(t, h, "/v1/models/iris:"+[]string{"predict", "classify"}[verb%2], body)
		fuzzed(t, h, "/v1/models/shapes:"+[]string{"predict", "classify"}[verb%2], body)
	})
}

func FuzzInfer(f *testing.F) {
	corpus.Add(f)
	h := servetest.New(servetest.Committed(f)).Handler()
	const in = `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],`
	f.Add([]byte(in+`"data":[1,2,3,4]}]}`), "", "")
	f.Add([]byte(in+`"parameters":{"binary_data_size":16}}]}`+"0000111122223333"), "90", "")
	f.Add([]byte("0000111122223333"), "0", "")
	f.Add([]byte("\x1f\x8b\x08\x00"), "", "gzip")
	f.Fuzz(func(t *testing.T, body []byte, length, coding string) {
		for _, model := range []string{"iris", "shapes"} {
			headers := []string{"Content-Encoding", coding}
			if length != "" {
				headers = append(headers, servetest.HeaderLength, length)
			}
			fuzzed(t, h, "/v2/models/"+model+"/infer", body, headers...)
		}
	})
}
