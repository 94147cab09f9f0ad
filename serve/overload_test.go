package serve_test

// What there is no room or no time for.

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/access/accesstest"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// small is a model of a committed bundle with little room.
func small(t *testing.T, name string) *predict.Model {
	t.Helper()
	o := predict.Options{Threads: 1, Verify: predict.VerifyQuick, MaxQueueRows: 4, MaxQueueBytes: 1 << 20}
	m, err := o.Load(t.Context(), servetest.Bundles+name+".forgo", onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// fill takes all of a model's places.
func fill(t *testing.T, m *predict.Model, bytes int64) (release func()) {
	t.Helper()
	r, err := serving.Of(m).Reserve(1000, bytes)
	if err != nil {
		t.Fatal(err)
	}
	return r.Release
}

var quiet = slog.New(slog.DiscardHandler)

// unread is a body that fails the test where it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBusyIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	models := serve.Models{"iris": small(t, "iris"), "shapes": small(t, "shapes")}
	handler := servetest.New(models).Handler()
	for _, m := range models {
		defer fill(t, m, 1)()
	}
	for _, path := range []string{
		"/v2/models/iris/infer", "/v2/models/shapes/infer", "/v1/models/iris:predict", "/v1/models/iris:classify",
		"/v1/models/shapes:predict", "/models/iris", "/models/shapes",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, unread{t})
		if err != nil {
			t.Fatal(err)
		}
		for _, length := range []int64{100, -1} {
			req.ContentLength = length
			w := servetest.Record(handler, req)
			if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "the queue is full: 1000 rows are waiting (limit 4)") {
				t.Errorf("%s, length %d: %d %v %s", path, length, w.Code, w.Header(), w.Body)
			}
		}
	}
	conn := servetest.DialGRPC(t, servetest.New(models))
	spec := &tfpb.ModelSpec{Name: "iris"}
	for _, c := range []caller{ // which are bad, but that is not looked at
		inferCall{servetest.IrisRequest(1)},
		predictCall{&tfpb.PredictRequest{ModelSpec: spec}},
		classifyCall{&tfpb.ClassificationRequest{ModelSpec: spec}},
		regressCall{&tfpb.RegressionRequest{ModelSpec: spec}},
	} {
		if err := c.call(t.Context(), conn, ""); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "1000 rows are waiting") {
			t.Errorf("%T: %v", c, err)
		}
	}
}

// Large requests that take all they may leave room for small ones.
func TestSmallRequestsHaveMemoryOfTheirOwn(t *testing.T) {
	budget := predict.NewBudget(64 << 20)
	m, err := predict.Options{Threads: 1, Budget: budget}.Load(t.Context(), servetest.Bundles+"iris.forgo", onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	a := accesstest.New(t)
	cert, key, _ := a.Files(t.TempDir(), "server")
	if err := budget.Take(56 << 20); err != nil {
		t.Fatal(err)
	}
	defer budget.Give(56 << 20)
	row := "[5.1,3.5,1.4,0.2]"
	for name, o := range map[string]serve.Options{"plain": {Memory: budget}, "TLS": {Memory: budget, TLS: servetest.Certificates(t, cert, key, "")}} {
		s := servetest.RunWith(t, serve.Models{"iris": m}, o, serve.Addresses{HTTP: servetest.AnyPort})
		client := http.Client{Transport: &http.Transport{TLSClientConfig: a.Client(""), MaxConnsPerHost: 1}} // which is kept
		for _, c := range []struct{ before, want int }{{0, 200}, {10 << 10, 200}, {10 << 10, 200}, {1 << 20, 429}, {0, 200}, {1 << 20, 429}, {200 << 10, 429}, {10 << 10, 200}} {
			resp, err := client.Post(s.Addresses["url"]+"/models/iris", "application/json", strings.NewReader(strings.Repeat(" ", c.before)+row))
			if err != nil {
				t.Errorf("%s, after %d bytes: %v", name, c.before, err)
				continue
			}
			answer, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("%s, after %d bytes: %d %s, want %d", name, c.before, resp.StatusCode, answer, c.want)
			}
		}
		client.CloseIdleConnections()
	}
}

// The default queue has room for 64 callers with 8 rows each.
func TestTheDefaultQueue(t *testing.T) {
	models := servetest.Committed(t)
	url := servetest.Listen(t, models)
	const eight = `{"instances":[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]]}`
	for others, want := range map[int]int{63 * 8: 200, 64 * 8: 429} {
		r, err := serving.Of(models["iris"]).Reserve(others, 1)
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := servetest.Call(t, "POST", url+"/v1/models/iris:predict", eight); status != want {
			t.Errorf("behind %d rows: %d %v, want %d", others, status, answer, want)
		}
		r.Release()
	}
}

// A body counts while it comes, also where its length is not known before.
func TestQueueBytes(t *testing.T) {
	m := small(t, "iris")
	url := servetest.Listen(t, serve.Models{"iris": m})
	row := []byte("[5.1,3.5,1.4,0.2]" + strings.Repeat(" ", 20_000))
	post := func(body io.Reader) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/models/iris", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(raw)
	}
	large, err := serving.Of(m).Reserve(1, 1<<20-17<<10)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]io.Reader{"known": bytes.NewReader(row), "unknown": io.MultiReader(bytes.NewReader(row))} {
		if status, answer := post(body); status != 429 || !strings.Contains(answer, "the queue is full: requests of 1031168 bytes are waiting (limit 1048576)") {
			t.Errorf("%s length: %d %s", name, status, answer)
		}
		if status, answer := post(bytes.NewReader(row[:17])); status != 200 {
			t.Errorf("a short one: %d %s", status, answer)
		}
	}
	large.Release()
	for name, body := range map[string]io.Reader{"known": bytes.NewReader(row), "unknown": io.MultiReader(bytes.NewReader(row))} {
		if status, answer := post(body); status != 200 {
			t.Errorf("%s length afterwards: %d %s", name, status, answer)
		}
	}
	if s := serving.Of(m).Stats(); s.QueueBytes != 0 {
		t.Errorf("left over: %+v", s)
	}
}

func TestDeadlines(t *testing.T) {
	slow := serve.Models{"slow": servetest.GraphModel(t, "slow"), "iris": servetest.Load(t, servetest.Bundles+"iris.forgo")}
	server := func(timeout time.Duration) *serve.Server {
		return serve.New(slow, serve.Options{Log: quiet, Limits: serve.Limits{Timeout: timeout}})
	}
	const body = `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]`
	infer := "/v2/models/slow/infer"
	for name, c := range map[string]struct {
		path, body, header string
		timeout            time.Duration
		status             int
		names              string
	}{
		"header":            {infer, body + "}", "50m", 0, 504, "deadline passed"},
		"flag":              {infer, body + "}", "", 50 * time.Millisecond, 504, "deadline passed"},
		"parameter":         {infer, body + `,"parameters":{"timeout":50000}}`, "", 0, 504, "deadline passed"},
		"flag is earliest":  {infer, body + `,"parameters":{"timeout":3600000000}}`, "1H", 50 * time.Millisecond, 504, "deadline passed"},
		"header is":         {infer, body + `,"parameters":{"timeout":3600000000}}`, "50000u", time.Hour, 504, "deadline passed"},
		"parameter is":      {infer, body + `,"parameters":{"timeout":50000}}`, "1H", time.Hour, 504, "deadline passed"},
		"other protocol":    {"/v1/models/slow:predict", `{"instances":[[1,2,3]]}`, "50m", 0, 504, "deadline passed"},
		"native":            {"/models/slow", "[1,2,3]", "50m", 0, 504, "deadline passed"},
		"enough":            {"/models/iris", "[1,2,3,4]", "10S", time.Minute, 200, ""},
		"past an int64":     {"/models/iris", "[1,2,3,4]", "2562048H", time.Minute, 200, ""},
		"the longest":       {"/models/iris", "[1,2,3,4]", "99999999H", time.Minute, 200, ""},
		"no unit":           {infer, body + "}", "50", 0, 400, "header Grpc-Timeout"},
		"not a number":      {infer, body + "}", "xS", 0, 400, "header Grpc-Timeout"},
		"nine digits":       {infer, body + "}", "123456789S", 0, 400, "header Grpc-Timeout"},
		"below 0":           {infer, body + "}", "-1S", 0, 400, "header Grpc-Timeout"},
		"parameter below 0": {infer, body + `,"parameters":{"timeout":-1}}`, "", 0, 400, "parameters: timeout: -1"},
		"parameter no int":  {infer, body + `,"parameters":{"timeout":"1s"}}`, "", 0, 400, "parameters: timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.header != "" {
				req.Header.Set("Grpc-Timeout", c.header)
			}
			if w := servetest.Record(server(c.timeout).Handler(), req); w.Code != c.status || !strings.Contains(w.Body.String(), c.names) {
				t.Errorf("%d %s, want %d naming %q", w.Code, w.Body, c.status, c.names)
			}
		})
	}
	number := func(us int64) map[string]*pb.InferParameter {
		return map[string]*pb.InferParameter{"timeout": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: us}}}
	}
	for name, c := range map[string]struct {
		parameters map[string]*pb.InferParameter
		timeout    time.Duration
		code       codes.Code
	}{
		"gRPC flag":              {nil, 50 * time.Millisecond, codes.DeadlineExceeded},
		"gRPC parameter":         {number(50000), time.Hour, codes.DeadlineExceeded},
		"gRPC parameter below 0": {number(-1), 0, codes.InvalidArgument},
		"gRPC parameter no int":  {map[string]*pb.InferParameter{"timeout": {}}, 0, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, server(c.timeout)))
			_, err := client.ModelInfer(t.Context(), &pb.ModelInferRequest{ModelName: "slow", Parameters: c.parameters, Inputs: []*pb.ModelInferRequest_InferInputTensor{
				servetest.ProtoInput("x", "FP32", &pb.InferTensorContents{Fp32Contents: []float32{1, 2, 3}}, 1, 3),
			}})
			if status.Code(err) != c.code || c.code == codes.InvalidArgument && !strings.Contains(err.Error(), "timeout") {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
}
