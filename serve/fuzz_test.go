package serve_test

// Whatever is sent, a server of real models answers 200 or a 4xx with an error.

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
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

func FuzzCSV(f *testing.F) {
	h := newServer(committed(f)).Handler()
	const header = "input[0],input[1],input[2],input[3]\n"
	for _, seed := range []string{
		header + "1,2,3,4\n", header, header + "1,2,3\n", "input[0]\n1\n", "\"input[0]\" ,\n", header + "\"1\",NaN,-0,1e9\n", "\ufeff" + header,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if raw := fuzzed(t, h, "/models/iris", body, "Content-Type", "text/csv"); raw != nil {
			if n := answered(t, raw); n > bytes.Count(body, []byte("\n"))+1 {
				t.Fatalf("%d answers to %q", n, body)
			}
		}
	})
}

func FuzzForm(f *testing.F) {
	models := committed(f)
	h := newServer(models).Handler()
	row, _ := golden(f, models["iris"], "iris", 0)
	good, _ := form(f, [2]string{"a.json", string(row)}, [2]string{"b.json", string(row)})
	boundary := string(good[2:bytes.IndexByte(good, '\r')])
	f.Add(good, boundary)
	f.Add(good[:len(good)-9], boundary)
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n[1,2,3,4]\r\n--x--\r\n"), "x")
	f.Add([]byte("--x\r\n\r\n\r\n--x--"), "x")
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		if raw := fuzzed(t, h, "/models/iris", body, "Content-Type", "multipart/form-data; boundary="+boundary); raw != nil {
			if n := answered(t, raw); n == 0 || n > bytes.Count(body, []byte(boundary)) {
				t.Fatalf("%d answers to %q", n, body)
			}
		}
	})
}

func FuzzTFServing(f *testing.F) {
	h := newServer(committed(f)).Handler()
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
	h := newServer(committed(f)).Handler()
	const in = `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],`
	f.Add([]byte(in+`"data":[1,2,3,4]}]}`), "", "")
	f.Add([]byte(in+`"parameters":{"binary_data_size":16}}]}`+"0000111122223333"), "90", "")
	f.Add([]byte("0000111122223333"), "0", "")
	f.Add([]byte("\x1f\x8b\x08\x00"), "", "gzip")
	f.Fuzz(func(t *testing.T, body []byte, length, coding string) {
		for _, model := range []string{"iris", "shapes"} {
			headers := []string{"Content-Encoding", coding}
			if length != "" {
				headers = append(headers, headerLength, length)
			}
			fuzzed(t, h, "/v2/models/"+model+"/infer", body, headers...)
		}
	})
}
