package observe_test

// What Prometheus is told, after real requests.

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"github.com/forgo-ml/forgo/serve/repository"
)

// metrics are what /metrics answers.
type metrics map[string]*dto.MetricFamily

func scrape(t *testing.T, s *serve.Server) metrics {
	t.Helper()
	w := httptest.NewRecorder()
	s.Admin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	problems, err := promlint.New(bytes.NewReader(w.Body.Bytes())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// find returns the metric with these labels, given as name=value; nil where there is none.
func (m metrics) find(name string, labels ...string) *dto.Metric {
	for _, metric := range m[name].GetMetric() {
		have := map[string]bool{}
		for _, l := range metric.GetLabel() {
			have[l.GetName()+"="+l.GetValue()] = true
		}
		if !slices.ContainsFunc(labels, func(l string) bool { return !have[l] }) {
			return metric
		}
	}
	return nil
}

func (m metrics) want(t *testing.T, value float64, name string, labels ...string) {
	t.Helper()
	metric := m.find(name, labels...)
	if metric == nil {
		t.Errorf("there is no %s%v", name, labels)
	} else if got := metric.GetCounter().GetValue() + metric.GetGauge().GetValue(); got != value {
		t.Errorf("%s%v is %v, want %v", name, labels, got, value)
	}
}

// wantTimes holds a histogram to its count, and to a sum above 0.
func (m metrics) wantTimes(t *testing.T, count uint64, name string, labels ...string) {
	t.Helper()
	h := m.find(name, labels...).GetHistogram()
	if h.GetSampleCount() != count || count > 0 && h.GetSampleSum() <= 0 {
		t.Errorf("%s%v counts %d and sums up %v, want %d", name, labels, h.GetSampleCount(), h.GetSampleSum(), count)
	}
}

func TestMetricsOfEveryProtocol(t *testing.T) {
	models := servetest.Committed(t)
	server := servetest.New(models)
	conn := servetest.DialGRPC(t, server)
	h, client, overTFServing := server.Handler(), pb.NewGRPCInferenceServiceClient(conn), tfpb.NewPredictionServiceClient(conn)
	picture, _ := servetest.Golden(t, models["shapes"], "shapes", 0)
	const rows = `[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]`
	good := []struct{ path, body string }{
		{"/v2/models/iris/infer", servetest.InferBody(t, "input", "FP32", []int{3, 4}, make([]float32, 12))},
		{"/v1/models/iris:predict", `{"instances":` + rows + `}`},
		{"/models/iris", rows},
		{"/models/shapes", string(picture)},
		{"/v2/models/shapes/infer", servetest.InferBody(t, "image", "BYTES", []int{2}, slices.Repeat([]string{base64.StdEncoding.EncodeToString(picture)}, 2))},
	}
	for _, c := range good {
		if w := servetest.Ask(t.Context(), h, c.path, c.body); w.Code != 200 {
			t.Fatalf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
	if _, err := client.ModelInfer(t.Context(), servetest.IrisRequest(make([]float32, 8)...)); err != nil {
		t.Fatal(err)
	}
	if _, err := overTFServing.Predict(t.Context(), servetest.PredictIris(make([]float32, 8)...)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v2/models/iris/infer", "/v1/models/iris:predict", "/models/iris", "/models/none", "/nothing"} {
		servetest.Ask(t.Context(), h, path, "{")
	}
	if _, err := client.ModelInfer(t.Context(), servetest.IrisRequest(1)); status.Code(err) != codes.InvalidArgument {
		t.Fatal(err)
	}
	if _, err := overTFServing.Predict(t.Context(), servetest.PredictIris(1)); status.Code(err) != codes.InvalidArgument {
		t.Fatal(err)
	}

	m := scrape(t, server)
	for _, protocol := range []string{"oip_http", "oip_grpc", "tfserving", "tfserving_grpc", "native"} {
		labels := []string{"model=iris", "version=1", "protocol=" + protocol}
		m.want(t, 2, "forgo_requests_total", labels...)
		m.wantTimes(t, 1, "forgo_request_duration_seconds", labels...)
		m.want(t, 1, "forgo_request_failures_total", append(labels, "reason=bad_input")...)
		m.want(t, 0, "forgo_request_failures_total", append(labels, "reason=internal")...)
	}
	m.want(t, 1, "forgo_request_failures_total", "model=", "protocol=native", "reason=not_found")
	m.want(t, 1, "forgo_request_failures_total", "model=", "protocol=other", "reason=not_found")
	m.want(t, 11, "forgo_rows_total", "model=iris")
	m.want(t, 3, "forgo_rows_total", "model=shapes")
	m.want(t, 0, "forgo_requests_in_flight", "model=iris")
	for stage, counts := range map[string][2]uint64{
		"read": {3, 2}, "decode": {5, 2}, "preprocess": {0, 2}, "queue": {5, 2}, "infer": {5, 2}, "encode": {5, 2},
	} {
		m.wantTimes(t, counts[0], "forgo_stage_duration_seconds", "model=iris", "stage="+stage)
		m.wantTimes(t, counts[1], "forgo_stage_duration_seconds", "model=shapes", "stage="+stage)
	}
	batches := m.find("forgo_batch_rows", "model=iris").GetHistogram()
	var buckets []uint64
	for _, b := range batches.GetBucket()[:4] { // up to 1, 2, 4 and 8 rows
		buckets = append(buckets, b.GetCumulativeCount())
	}
	if batches.GetSampleCount() != 5 || batches.GetSampleSum() != 11 || !slices.Equal(buckets, []uint64{0, 4, 5, 5}) {
		t.Errorf("batches: %v", batches)
	}
	if busy := m.find("forgo_engine_busy_seconds_total", "model=iris").GetCounter().GetValue(); busy <= 0 {
		t.Errorf("engine busy for %v s", busy)
	}
}

// TestMetricsThatSayNothing counts the series of a version that nobody has asked, and of one that was
// asked in one protocol.
func TestMetricsThatSayNothing(t *testing.T) {
	models := servetest.Committed(t)
	server := servetest.New(models)
	series := func() (n int) {
		for name, family := range scrape(t, server) {
			for _, metric := range family.GetMetric() {
				if strings.HasPrefix(name, "forgo_") && slices.ContainsFunc(metric.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == "iris" }) {
					n += max(1, len(metric.GetHistogram().GetBucket())+2) // with its sum and count
				}
			}
		}
		return n
	}
	// Of what was never counted only totals that a rate is made of are there, from the start.
	silent := func() string {
		zero := map[string]int{}
		for name, family := range scrape(t, server) {
			for _, metric := range family.GetMetric() {
				ofIris := slices.ContainsFunc(metric.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == "iris" })
				if ofIris && (metric.GetCounter() != nil && metric.GetCounter().GetValue() == 0 ||
					metric.GetHistogram() != nil && metric.GetHistogram().GetSampleCount() == 0) {
					zero[name]++
				}
			}
		}
		return fmt.Sprint(zero)
	}
	if got := silent(); got != "map[forgo_engine_busy_seconds_total:1 forgo_engine_restarts_total:1 forgo_requests_total:5 forgo_rows_total:1]" {
		t.Errorf("series that have counted nothing: %s", got)
	}
	if n := series(); n > 60 {
		t.Errorf("%d series of a version that nobody has asked", n)
	}
	if w := servetest.Ask(t.Context(), server.Handler(), "/models/iris", "[5.1,3.5,1.4,0.2]"); w.Code != 200 {
		t.Fatal(w)
	}
	if n := series(); n < 100 || n > 230 {
		t.Errorf("%d series of a version that was asked once", n)
	}
	if got := silent(); got != "map[forgo_engine_restarts_total:1 forgo_request_failures_total:11 forgo_requests_total:4]" {
		t.Errorf("series that have counted nothing after a request: %s", got)
	}
}

func TestMetricsOfModels(t *testing.T) {
	models := servetest.Committed(t)
	server := servetest.New(models)
	m := scrape(t, server)
	for name, loaded := range models {
		p := loaded.Parity()
		m.want(t, 1, "forgo_model_info", "model="+name, "version=1", "digest="+loaded.Digest(), "engine=onnxruntime", "task=classification")
		m.want(t, p.Differences.Model, "forgo_model_parity_difference", "model="+name, "stage=model")
		m.want(t, p.Differences.Preprocess, "forgo_model_parity_difference", "model="+name, "stage=preprocess")
		m.want(t, p.Tolerance, "forgo_model_parity_tolerance", "model="+name)
		m.want(t, 1, "forgo_model_parity_top1_ratio", "model="+name)
		m.want(t, 4, "forgo_model_parity_cases", "model="+name) // they are replayed quickly
		m.want(t, 512, "forgo_queue_limit_rows", "model="+name)
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "forgo_build_info"} {
		if len(m[name].GetMetric()) != 1 {
			t.Errorf("%s: %v", name, m[name])
		}
	}
}

// folder serves a folder of models, which has version 1 of iris.
func folder(t *testing.T) (s *serve.Server, models *repository.Repository, put func(version string, spoil ...func(bundle string))) {
	t.Helper()
	root := t.TempDir()
	put = func(version string, spoil ...func(string)) {
		t.Helper()
		bundle := bundletest.Copy(t, servetest.Bundles+"iris.forgo")
		for _, f := range spoil {
			f(bundle)
		}
		if err := os.MkdirAll(filepath.Join(root, "iris"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(bundle, filepath.Join(root, "iris", version)); err != nil {
			t.Fatal(err)
		}
	}
	put("1")
	log := slog.New(slog.DiscardHandler)
	models, err := repository.Open(t.Context(), []string{root}, "", repository.Options{
		Log: log,
		Load: func(ctx context.Context, path string, _ repository.Settings) (*predict.Model, error) {
			return predict.Options{MaxWait: time.Minute}.Load(ctx, path, onnx.Engine())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(models.Close)
	return serve.Repository(models, serve.Options{Log: log}), models, put
}

// A version's metrics come and go with it.
func TestMetricsFollowTheVersions(t *testing.T) {
	server, models, put := folder(t)
	h := server.Handler()
	ofVersion := func(m metrics, version string) (names []string) {
		for name := range m {
			if m.find(name, "model=iris", "version="+version) != nil {
				names = append(names, name)
			}
		}
		return names
	}
	servetest.Ask(t.Context(), h, "/models/iris", "[1,2,3,4]")
	m := scrape(t, server)
	m.want(t, 1, "forgo_requests_total", "model=iris", "version=1", "protocol=native")
	m.want(t, 1, "forgo_model_ready", "model=iris", "version=1")
	m.want(t, 1, "forgo_model_loads_total", "model=iris", "outcome=loaded")
	m.want(t, 0, "forgo_model_loads_total", "model=iris", "outcome=refused")
	if n := len(ofVersion(m, "1")); n < 15 {
		t.Errorf("%d metrics of version 1", n)
	}

	put("2")
	put("3", func(bundle string) { bundletest.Write(t, bundle, "model.onnx", []byte("no graph")) })
	for range 3 { // a bundle that is not right may still be on its way
		models.Refresh(t.Context())
	}
	m = scrape(t, server)
	if names := ofVersion(m, "1"); !slices.Equal(names, []string{"forgo_model_ready"}) {
		t.Errorf("version 1 was replaced, and there are still %v", names)
	}
	for version, ready := range map[string]float64{"1": 0, "2": 1, "3": 0} {
		m.want(t, ready, "forgo_model_ready", "model=iris", "version="+version)
	}
	m.want(t, 0, "forgo_requests_total", "model=iris", "version=2", "protocol=native")
	m.want(t, 2, "forgo_model_loads_total", "model=iris", "outcome=loaded")
	m.want(t, 1, "forgo_model_loads_total", "model=iris", "outcome=refused")

	if err := models.Unload(t.Context(), "iris"); err != nil {
		t.Fatal(err)
	}
	if w := servetest.Ask(t.Context(), h, "/models/iris", "[1,2,3,4]"); w.Code != 503 {
		t.Errorf("unloaded: %d %s", w.Code, w.Body)
	}
	m = scrape(t, server)
	m.want(t, 1, "forgo_request_failures_total", "model=", "protocol=native", "reason=unavailable")
	if m.find("forgo_model_info") != nil || m.find("forgo_requests_total", "model=iris") != nil {
		t.Error("an unloaded model has metrics")
	}
}

// waitUntil returns when something that other goroutines do is done.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(late) {
			t.Fatal("it never happened")
		}
		runtime.Gosched()
	}
}

// A busy engine, a full queue, callers that leave or have no time, and a model that is closed.
func TestMetricsUnderLoad(t *testing.T) {
	o := predict.Options{Instances: 1, MaxBatchRows: 1, MaxQueueRows: 1, MaxQueueBytes: 1 << 20, MaxWait: 5 * time.Second}
	slow, err := o.Load(t.Context(), servetest.GraphBundle(t, "slow", "tensors"), onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	server := servetest.New(serve.Models{"slow": slow})
	h := server.Handler()
	const path, body = "/models/slow", "[[1,2,3]]"
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan int, 2)
	for waiting := range 2 { // one runs, one waits
		go func() { answers <- servetest.Ask(ctx, h, path, body).Code }()
		waitUntil(t, func() bool { s := serving.Of(slow).Stats(); return s.Running == 1 && s.QueueRows == waiting })
	}
	m := scrape(t, server)
	m.want(t, 2, "forgo_requests_in_flight", "model=slow")
	m.want(t, 1, "forgo_queue_rows", "model=slow")
	m.want(t, 1, "forgo_queue_requests", "model=slow")
	m.want(t, 1, "forgo_queue_limit_rows", "model=slow")
	m.want(t, 2*(16<<10+12), "forgo_queue_bytes", "model=slow") // three floats each, beside what every request takes
	m.want(t, 1<<20, "forgo_queue_limit_bytes", "model=slow")
	m.want(t, 0, "forgo_queue_wait_seconds", "model=slow") // nothing was answered yet
	m.want(t, 5, "forgo_queue_limit_wait_seconds", "model=slow")
	m.want(t, 1, "forgo_engine_runs_in_flight", "model=slow")
	m.want(t, 1, "forgo_engine_limit_runs", "model=slow")

	if w := servetest.Ask(t.Context(), h, path, body); w.Code != 429 {
		t.Errorf("a full queue: %d %s", w.Code, w.Body)
	}
	cancel()
	for range 2 {
		if code := <-answers; code != 499 {
			t.Errorf("a client that went away: %d", code)
		}
	}
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if w := servetest.Ask(late, h, path, body); w.Code != 504 {
		t.Errorf("no time left: %d %s", w.Code, w.Body)
	}
	if w := servetest.Ask(t.Context(), h, path, strings.Repeat(" ", servetest.MaxBody+1)); w.Code != 413 {
		t.Errorf("a long body: %d %s", w.Code, w.Body)
	}
	_ = slow.Close()
	if w := servetest.Ask(t.Context(), h, path, body); w.Code != 503 {
		t.Errorf("closed: %d %s", w.Code, w.Body)
	}
	m = scrape(t, server)
	for reason, n := range map[string]float64{"busy": 1, "cancelled": 2, "deadline": 1, "too_large": 1, "unavailable": 1, "bad_input": 0} {
		m.want(t, n, "forgo_request_failures_total", "model=slow", "protocol=native", "reason="+reason)
	}
	m.want(t, 6, "forgo_requests_total", "model=slow", "protocol=native")
	m.want(t, 0, "forgo_requests_in_flight", "model=slow")
	m.want(t, 0, "forgo_queue_rows", "model=slow")
	m.wantTimes(t, 0, "forgo_request_duration_seconds", "model=slow", "protocol=native")
}

// TensorFlow Serving's scrapers find the metrics at its path, on the admin port alone.
func TestMetricsAreWhereTensorFlowServingHasThem(t *testing.T) {
	server := servetest.New(servetest.Committed(t))
	for path, want := range map[string]int{"/metrics": 200, "/monitoring/prometheus/metrics": 200} {
		w := httptest.NewRecorder()
		server.Admin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if w.Code != want || !strings.Contains(w.Body.String(), "forgo_build_info") {
			t.Errorf("%s on the admin port: %d %.100s", path, w.Code, w.Body)
		}
		w = httptest.NewRecorder()
		server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if w.Code != 404 {
			t.Errorf("%s on the clients' port: %d", path, w.Code)
		}
	}
}
