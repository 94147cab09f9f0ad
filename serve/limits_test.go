package serve_test

// The limits of a request, in every protocol that can exceed them.

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func TestLimits(t *testing.T) {
	small, err := predict.Options{Threads: 1, Verify: predict.VerifyQuick, MaxPixels: 1 << 20}.
		Load(t.Context(), servetest.Bundles+"shapes.forgo", onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	models := servetest.Committed(t)
	models["small"], models["two"] = small, servetest.GraphModel(t, "two")
	s := httptest.NewServer(serve.New(models, serve.Options{
		MaxBody: servetest.MaxBody, Log: slog.New(slog.DiscardHandler),
		Limits: serve.Limits{MaxElements: 8, MaxJSONDepth: 5, MaxPictures: 2},
	}).Handler())
	defer s.Close()

	// A picture that says it has 2048 x 2048 pixels, and no more of them.
	large := "\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x08\x00\x00\x00\x08\x00\x08\x02\x00\x00\x00\x3d\xc5\x44\x67\x00\x00\x00\x08\x49\x44\x41\x54\x78\x9c\x03\x00\x00\x00\x00\x01\x48\x06\x89\xd2\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82"
	deep := strings.Repeat("[", 9) + strings.Repeat("]", 9)
	const infer = `{"inputs":[{"name":"input","datatype":"FP32","shape":`
	const rows = "[[1,2,3,4],[1,2,3,4],[1,2,3,4]]"
	pictures, kind := servetest.Form(t, [2]string{"a", "x"}, [2]string{"b", "x"}, [2]string{"c", "x"})
	iris, two := "/v2/models/iris/infer", "/models/two"
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		names      string
	}{
		"elements, JSON":             {iris, infer + `[3,4],"data":` + rows + `}]}`, nil, `inputs[0] "input": data: more than 8 elements`},
		"elements, data first":       {iris, `{"inputs":[{"data":` + rows + `,"name":"input","datatype":"FP32","shape":[3,4]}]}`, nil, `inputs[0] "input": data: more than 8 elements`},
		"elements, binary":           {iris, strings.Repeat("x", 48), []string{servetest.HeaderLength, "0"}, `input "input": the request has more than the limit of 8 elements`},
		"elements, of two inputs":    {"/v2/models/two/infer", `{"inputs":[{"name":"a","datatype":"FP32","shape":[3,2],"data":[1,2,3,4,5,6]},{"name":"b","datatype":"FP32","shape":[3,2],"data":[1,2,3,4,5,6]}]}`, nil, "more than 8 elements"},
		"elements, instances":        {"/v1/models/iris:predict", `{"instances":` + rows + `}`, nil, `instances: input "input": more than 8 elements`},
		"elements, columns":          {"/v1/models/iris:predict", `{"inputs":{"input":` + rows + `}}`, nil, `input "input": more than 8 elements`},
		"elements, examples":         {"/v1/models/iris:classify", `{"examples":[{"input":[1,2,3,4]},{"input":[1,2,3,4]},{"input":[1,2,3,4]}]}`, nil, `input "input": more than 8 elements`},
		"elements, by the context":   {"/v1/models/iris:classify", `{"context":{"input":[1,2,3,4]},"examples":[{},{},{}]}`, nil, `feature "input" has more than 8 elements`},
		"elements, bare rows":        {"/models/iris", rows, nil, `input "input": more than 8 elements`},
		"elements, rows by name":     {"/models/iris", `[{"input":[1,2,3,4]},{"input":[1,2,3,4]},{"input":[1,2,3,4]}]`, nil, `row 2: input "input": more than 8 elements`},
		"elements, CSV":              {"/models/iris", "input[0],input[1],input[2],input[3]\n1,2,3,4\n1,2,3,4\n1,2,3,4\n", []string{"Content-Type", "text/csv"}, "row 2: more than 8 elements"},
		"depth, data":                {iris, infer + `[1,4],"data":` + deep + `}]}`, nil, "data: at byte 68: lists and objects are nested deeper than 5"},
		"depth, a field passed over": {iris, `{"other":` + deep + `}`, nil, "other: at byte 13: lists and objects are nested deeper than 5"},
		"depth, instances":           {"/v1/models/iris:predict", `{"instances":` + deep + `}`, nil, "nested deeper than 5"},
		"depth, a row":               {"/models/iris", deep, nil, "nested deeper than 5"},
		"depth, a row by name":       {two, `{"a":` + deep + `,"b":1}`, nil, "nested deeper than 5"},
		"pixels, native":             {"/models/small", large, nil, "2048 x 2048 pixels are more than 1048576"},
		"pixels, tensor":             {"/v2/models/small/infer", large, []string{servetest.HeaderLength, "0"}, `"image": element 0: picture refused: 2048 x 2048 pixels are more than 1048576`},
		"pictures, form":             {"/models/shapes", string(pictures), []string{"Content-Type", kind}, "too many files in the form; send at most 2"},
		"pictures, instances":        {"/v1/models/shapes:predict", `{"instances":[{"b64":"eA=="},{"b64":"eA=="},{"b64":"eA=="}]}`, nil, "3 pictures in one request; send at most 2"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, raw := servetest.Exchange(t, "POST", s.URL+c.path, []byte(c.body), c.headers...)
			var answer struct {
				Error string `json:"error"`
			}
			if err := json.Unmarshal(raw, &answer); err != nil || status != 400 || !strings.Contains(answer.Error, c.names) {
				t.Errorf("status %d %s, want 400 naming %q", status, raw, c.names)
			}
		})
	}
}

// A client that calls over gRPC on the admin port and never reads the answer is cut off.
func TestAnswersOverAdminHaveAMinimumRate(t *testing.T) {
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{ClientTimeout: 100 * time.Millisecond},
		serve.Addresses{HTTP: servetest.AnyPort, Admin: servetest.AnyPort})
	conn := servetest.Dial(t, s.Addresses["admin"])
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil { // or the test would never end
		t.Fatal(err)
	}
	h2 := servetest.NewFrames(t, conn, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	h2.Headers(":method", "POST", ":scheme", "http", ":path", pb.GRPCInferenceService_RepositoryIndex_FullMethodName,
		":authority", "x", "content-type", "application/grpc", "te", "trailers")
	if err := h2.WriteData(1, true, make([]byte, 5)); err != nil { // an empty message
		t.Fatal(err)
	}
	for {
		switch f := h2.Read().(type) {
		case *http2.RSTStreamFrame:
			return
		case *http2.DataFrame:
			t.Fatalf("%d bytes of an answer for which there is no window", len(f.Data()))
		}
	}
}
