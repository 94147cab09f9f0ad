package compress_test

// Packed bodies in the protocols beside the Open Inference Protocol, which TestCompressedBodies is of,
// and of what operators and people read.

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// packings are the codings by name.
var packings = map[string]struct {
	pack   func(io.Writer) io.WriteCloser
	unpack func(io.Reader) (io.ReadCloser, error)
}{
	"gzip": {
		func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) },
	},
	"deflate": {
		func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		zlib.NewReader,
	},
}

func packedIn(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := packings[coding].pack(&packed)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func unpackedFrom(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	r, err := packings[coding].unpack(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// What comes packed is answered as what comes plain, and a long answer is packed as it is asked for.
func TestCompressedBodiesOfEveryProtocol(t *testing.T) {
	url, models := servetest.Start(t)
	rows, err := json.Marshal(slices.Repeat([][]float64{{5.1, 3.5, 1.4, 0.2}, {6.7, 3, 5.2, 2.3}}, 50))
	if err != nil {
		t.Fatal(err)
	}
	table := "input[0],input[1],input[2],input[3]\n" + strings.Repeat("5.1,3.5,1.4,0.2\n", 100)
	picture, _ := servetest.Golden(t, models["shapes"], "shapes", 0)
	files, kind := servetest.Form(t, [2]string{"a.jpg", string(picture)}, [2]string{"b.jpg", string(picture)})
	examples := `{"examples":[` + strings.Repeat(`{"input":[5.1,3.5,1.4,0.2]},`, 99) + `{"input":[6.7,3,5.2,2.3]}]}`
	for name, c := range map[string]struct {
		path, contentType string
		body              []byte
		long              bool // the answer is worth packing
	}{
		"TensorFlow Serving, predict":  {"/v1/models/iris:predict", "application/json", []byte(`{"instances":` + string(rows) + `}`), true},
		"TensorFlow Serving, columns":  {"/v1/models/iris:predict", "application/json", []byte(`{"inputs":` + string(rows) + `}`), true},
		"TensorFlow Serving, classify": {"/v1/models/iris:classify", "application/json", []byte(examples), true},
		"TensorFlow Serving, one row":  {"/v1/models/iris:predict", "application/json", []byte(`{"instances":[[5.1,3.5,1.4,0.2]]}`), false},
		"native, rows":                 {"/models/iris", "application/json", rows, true},
		"native, CSV":                  {"/models/iris", "text/csv", []byte(table), true},
		"native, a picture":            {"/models/shapes", "image/jpeg", picture, false},
		"native, a form":               {"/models/shapes", kind, files, false},
	} {
		t.Run(name, func(t *testing.T) {
			status, h, want := servetest.Exchange(t, "POST", url+c.path, c.body, "Content-Type", c.contentType, "Accept-Encoding", "identity")
			if status != http.StatusOK || h.Get("Content-Encoding") != "" {
				t.Fatalf("as it is: %d %v %.200s", status, h, want)
			}
			for coding := range packings {
				status, h, got := servetest.Exchange(t, "POST", url+c.path, packedIn(t, coding, c.body), "Content-Type", c.contentType, "Content-Encoding", coding, "Accept-Encoding", coding)
				if status != http.StatusOK || (h.Get("Content-Encoding") == coding) != c.long || h.Get("Vary") != "Accept-Encoding" {
					t.Fatalf("%s: %d %v %.200q", coding, status, h, got)
				}
				if c.long {
					got = unpackedFrom(t, coding, got)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s: %.200s, want %.200s", coding, got, want)
				}
			}
		})
	}

	server := servetest.New(models)
	admin := httptest.NewServer(server.Admin())
	defer admin.Close()
	for path, want := range map[string]string{
		url + "/openapi.json": `"openapi":`, url + "/docs": "<html", url + "/v1/models/iris/metadata": "", admin.URL + "/metrics": "forgo_build_info",
	} {
		status, h, got := servetest.Exchange(t, "GET", path, nil, "Accept-Encoding", "gzip")
		if want != "" && (h.Get("Content-Encoding") != "gzip" || !strings.Contains(string(unpackedFrom(t, "gzip", got)), want)) {
			t.Errorf("%s: %d %v", path, status, h)
		}
		if status, h, got = servetest.Exchange(t, "GET", path, nil, "Accept-Encoding", "identity"); status != http.StatusOK || h.Get("Content-Encoding") != "" || !strings.Contains(string(got), want) {
			t.Errorf("%s, as it is: %d %v", path, status, h)
		}
	}
}
