package serve_test

// Bad requests of every kind, in every protocol that can carry them: docs/bad-requests.md lists
// them. Each is sent in every way that a client may choose, and refused with an error that names
// what is wrong; after each the server answers a good one.

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// bad is a bad request over HTTP.
type bad struct {
	kind         string // the same in every protocol
	method, path string // "" is POST
	body         string
	headers      []string // names and values in turn
	status       int      // 0 is 400
	names        string   // what the error says, the field among it
}

// badCall is a bad request over gRPC.
type badCall struct {
	kind    string
	request caller
	code    codes.Code // 0 is INVALID_ARGUMENT
	names   string
}

// caller sends a request, with the model's version where it names none.
type caller interface {
	call(ctx context.Context, conn grpc.ClientConnInterface, version string, o ...grpc.CallOption) error
}

type inferCall struct{ *pb.ModelInferRequest }

func (c inferCall) call(ctx context.Context, conn grpc.ClientConnInterface, version string, o ...grpc.CallOption) error {
	if c.ModelVersion == "" && version != "" {
		c = inferCall{proto.CloneOf(c.ModelInferRequest)}
		c.ModelVersion = version
	}
	_, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, c.ModelInferRequest, o...)
	return err
}

type predictCall struct{ *tfpb.PredictRequest }

func (c predictCall) call(ctx context.Context, conn grpc.ClientConnInterface, version string, o ...grpc.CallOption) error {
	_, err := tfpb.NewPredictionServiceClient(conn).Predict(ctx, asVersion(version, c.PredictRequest), o...)
	return err
}

type classifyCall struct{ *tfpb.ClassificationRequest }

func (c classifyCall) call(ctx context.Context, conn grpc.ClientConnInterface, version string, o ...grpc.CallOption) error {
	_, err := tfpb.NewPredictionServiceClient(conn).Classify(ctx, asVersion(version, c.ClassificationRequest), o...)
	return err
}

type regressCall struct{ *tfpb.RegressionRequest }

func (c regressCall) call(ctx context.Context, conn grpc.ClientConnInterface, version string, o ...grpc.CallOption) error {
	_, err := tfpb.NewPredictionServiceClient(conn).Regress(ctx, asVersion(version, c.RegressionRequest), o...)
	return err
}

// asVersion returns a request of TensorFlow Serving's for a version, where it names none itself.
func asVersion[R interface {
	proto.Message
	GetModelSpec() *tfpb.ModelSpec
}](version string, req R) R {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || req.GetModelSpec() == nil || req.GetModelSpec().GetVersionChoice() != nil {
		return req
	}
	req = proto.CloneOf(req)
	req.GetModelSpec().VersionChoice = &tfpb.ModelSpec_Version{Version: wrapperspb.Int64(n)}
	return req
}

// badModels are those that bad requests are for.
func badModels(t *testing.T) serve.Models {
	t.Helper()
	models := servetest.Committed(t)
	for name, graph := range map[string]string{"two": "two", "flags": "same-bool", "halves": "same-float16", "strings": "same-string", "whole": "same-int32", "bytes": "same-int8"} {
		models[name] = servetest.GraphModel(t, graph)
	}
	models["values"], models["half"] = servetest.TaskModel(t, "affine", "regression"), servetest.TaskModel(t, "half-plus-three", "regression")
	return models
}

// protocol is the one that a path belongs to.
func protocol(path string) string {
	switch {
	case strings.HasPrefix(path, "/v2"):
		return "OIP REST"
	case strings.HasPrefix(path, "/v1"):
		return "TensorFlow Serving REST"
	}
	return "native"
}

var good = map[string]bad{
	"OIP REST":                {path: "/v2/models/iris/infer", body: `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}`},
	"TensorFlow Serving REST": {path: "/v1/models/iris:predict", body: `{"instances":[[5.1,3.5,1.4,0.2]]}`},
	"native":                  {path: "/models/iris", body: "[5.1,3.5,1.4,0.2]"},
}

// paths to a model that has no version in them.
var unversioned = regexp.MustCompile(`^(/(?:v[12]/)?models/(?:iris|shapes|two|flags|halves|strings|whole|values|half))(/infer.*|:.*|\?.*|)$`)

// ways are the ways to send it: its body as it is, in chunks, packed in gzip or deflate; to the
// model, or to its version by name.
func (b bad) ways() []func(url string) *http.Request {
	bodies := []func() (io.Reader, string){func() (io.Reader, string) { return strings.NewReader(b.body), "" }}
	posts := b.method == "" || b.method == http.MethodPost
	if posts {
		bodies = append(bodies, func() (io.Reader, string) { return io.MultiReader(strings.NewReader(b.body)), "" }) // of no known length
		if !slices.Contains(b.headers, "Content-Encoding") {
			bodies = append(bodies, func() (io.Reader, string) {
				var packed bytes.Buffer
				w := gzip.NewWriter(&packed)
				_, _ = io.WriteString(w, b.body)
				_ = w.Close()
				return &packed, "gzip"
			}, func() (io.Reader, string) {
				var packed bytes.Buffer
				w := zlib.NewWriter(&packed)
				_, _ = io.WriteString(w, b.body)
				_ = w.Close()
				return &packed, "deflate"
			})
		}
	}
	paths := []string{b.path}
	if posts && unversioned.MatchString(b.path) {
		paths = append(paths, unversioned.ReplaceAllString(b.path, "$1/versions/1$2"))
	}
	var ways []func(string) *http.Request
	for _, path := range paths {
		for _, body := range bodies {
			ways = append(ways, func(url string) *http.Request {
				reader, coding := body()
				method := b.method
				if method == "" {
					method = http.MethodPost
				}
				req, err := http.NewRequest(method, url+path, reader) //nolint:noctx // the test's own
				if err != nil {
					panic(err)
				}
				for i := 0; i < len(b.headers); i += 2 {
					req.Header.Set(b.headers[i], b.headers[i+1])
				}
				if coding != "" {
					req.Header.Set("Content-Encoding", coding)
				}
				return req
			})
		}
	}
	return ways
}

func post(t *testing.T, req *http.Request) (status int, body []byte) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// refuse sends bad requests, each in all its ways, or in the next of them, and with a good one after it.
func refuse(t *testing.T, url string, requests []bad) {
	t.Helper()
	for n, b := range requests {
		t.Run(b.kind+" "+b.path, func(t *testing.T) {
			want := max(b.status, http.StatusBadRequest)
			ways := b.ways()
			for i := range racetest.Some(len(ways), 1) {
				i = (i + n) % len(ways)
				code, raw := post(t, ways[i](url))
				var answer struct {
					Error string `json:"error"`
				}
				if err := json.Unmarshal(raw, &answer); err != nil || code != want || !strings.Contains(answer.Error, b.names) {
					t.Errorf("way %d: status %d %s, want %d naming %q; body %.200q", i, code, raw, want, b.names, b.body)
				}
				if code, raw := post(t, good[protocol(b.path)].ways()[0](url)); code != http.StatusOK {
					t.Errorf("way %d: a good request afterwards: %d %s", i, code, raw)
				}
			}
		})
	}
}

// ways are the ways to send it: as it is and in gzip, to the model and to its version by name.
func (b badCall) ways() []func(ctx context.Context, conn grpc.ClientConnInterface) error {
	var ways []func(context.Context, grpc.ClientConnInterface) error
	for _, version := range []string{"", "1"} {
		for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor(grpcgzip.Name)}} {
			ways = append(ways, func(ctx context.Context, conn grpc.ClientConnInterface) error {
				return b.request.call(ctx, conn, version, options...)
			})
		}
	}
	return ways
}

func refuseCalls(t *testing.T, conn grpc.ClientConnInterface, calls []badCall) {
	t.Helper()
	for n, b := range calls {
		t.Run(b.kind, func(t *testing.T) {
			want := b.code
			if want == codes.OK {
				want = codes.InvalidArgument
			}
			ways := b.ways()
			for i := range racetest.Some(len(ways), 1) {
				i = (i + n) % len(ways)
				if err := ways[i](t.Context(), conn); status.Code(err) != want || !strings.Contains(err.Error(), b.names) {
					t.Errorf("way %d: %v, want %s naming %q", i, err, want, b.names)
				}
				afterwards := caller(inferCall{servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)})
				if b.protocol() == "TensorFlow Serving gRPC" {
					afterwards = predictCall{servetest.PredictIris(5.1, 3.5, 1.4, 0.2)}
				}
				if err := afterwards.call(t.Context(), conn, ""); err != nil {
					t.Errorf("way %d: a good call afterwards: %v", i, err)
				}
			}
		})
	}
}

func (b badCall) protocol() string {
	if _, ok := b.request.(inferCall); ok {
		return "OIP gRPC"
	}
	return "TensorFlow Serving gRPC"
}

// TestBadRequestsAreListed holds docs/bad-requests.md to the requests that the other tests send.
// FORGO_UPDATE=1 writes it.
func TestBadRequestsAreListed(t *testing.T) {
	protocols := []string{"OIP REST", "OIP gRPC", "TensorFlow Serving REST", "TensorFlow Serving gRPC", "native"}
	kinds := map[string]map[string]bool{}
	sent := 0
	note := func(kind, protocol string, ways int) {
		if kinds[kind] == nil {
			kinds[kind] = map[string]bool{}
		}
		kinds[kind][protocol] = true
		sent += ways
	}
	models := badModels(t)
	for _, b := range slices.Concat(oipFaults(t, models), binaryFaults(t, models), nativeFaults(t, models), tfservingFaults(), commonFaults(t)) {
		note(b.kind, protocol(b.path), len(b.ways()))
	}
	for _, b := range slices.Concat(grpcFaults(), tfservingGRPCFaults(), commonCalls(t)) {
		note(b.kind, b.protocol(), len(b.ways()))
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# Bad requests\n\nThe tests in [`serve/`](../serve) send each of these %d kinds of bad request over the marked protocols:\nplain, in chunks and compressed, to the model and to its version by name, %d requests in all. The server refuses\neach with a 4xx or its gRPC code and an error that names the field. After each it still answers a good request.\n\n", len(kinds), sent)
	fmt.Fprintf(&page, "| kind | %s |\n|%s\n", strings.Join(protocols, " | "), strings.Repeat(" --- |", len(protocols)+1))
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&page, "| %s |", kind)
		for _, p := range protocols {
			mark := ""
			if kinds[kind][p] {
				mark = " ✓"
			}
			page.WriteString(mark + " |")
		}
		page.WriteString("\n")
	}
	const folder = "../docs/bad-requests.md"
	if os.Getenv("FORGO_UPDATE") != "" {
		if err := os.WriteFile(folder, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if listed, err := os.ReadFile(folder); err != nil || string(listed) != page.String() {
		t.Errorf("%s is not what the tests send (%v); FORGO_UPDATE=1 writes it", folder, err)
	}
	if len(kinds) < 60 || sent < 1000 {
		t.Errorf("%d kinds, %d requests", len(kinds), sent)
	}
}
