package serve_test

// The Go client against the server, over both protocols and in all forms.

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/client"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// clients returns a client for each protocol and form.
func clients(tb testing.TB, models serve.Models) map[string]*client.Client {
	tb.Helper()
	server := servetest.New(models)
	web := httptest.NewServer(server.Handler())
	tb.Cleanup(web.Close)
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	rpc := server.GRPC()
	go func() { _ = rpc.Serve(l) }()
	tb.Cleanup(rpc.Stop)
	all := map[string]*client.Client{}
	for form, o := range map[string]client.Options{"binary": {}, "plain": {Plain: true}} {
		for _, url := range []string{web.URL, "grpc://" + l.Addr().String()} {
			c, err := o.New(url)
			if err != nil {
				tb.Fatal(err)
			}
			tb.Cleanup(func() { _ = c.Close() })
			scheme, _, _ := strings.Cut(url, ":")
			all[scheme+" "+form] = c
		}
	}
	return all
}

func TestClientCarriesEveryDatatype(t *testing.T) {
	for _, s := range servetest.Samples {
		x := tensor.Tensor{Shape: []int64{1, 2}, Data: s.Data}
		name := "same-" + string(x.DType())
		for form, c := range clients(t, serve.Models{name: servetest.GraphModel(t, name)}) {
			out, err := c.Infer(t.Context(), name, tensor.Map{"x": x})
			if strings.HasSuffix(form, "plain") && (x.DType() == tensor.Float16 || x.DType() == tensor.BFloat16) {
				if err == nil || !strings.Contains(err.Error(), "cannot carry") {
					t.Errorf("%s, %s: %v", name, form, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", name, form, err)
				continue
			}
			if d, err := tensor.Difference(out["y"], x); err != nil || d != 0 {
				t.Errorf("%s, %s: got %v, want %v", name, form, out["y"], x)
			}
		}
	}
}

func TestClientCarriesWhatIsNotFinite(t *testing.T) {
	x := tensor.Tensor{Shape: []int64{3, 2}, Data: []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, math.MaxFloat32, math.SmallestNonzeroFloat32}}
	for form, c := range clients(t, serve.Models{"same": servetest.GraphModel(t, "same-float32")}) {
		out, err := c.Infer(t.Context(), "same", tensor.Map{"x": x})
		if err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		if d, err := tensor.Difference(out["y"], x); err != nil || d != 0 {
			t.Errorf("%s: got %v", form, out["y"])
		}
	}
}

// Over HTTP a score that is not finite is null, and so NaN; over gRPC it is a text.
func TestClientClassifiesWhatIsNotFinite(t *testing.T) {
	m := servetest.TaskModel(t, "same-float32", "classification", func(manifest map[string]any) {
		manifest["labels"] = []any{"a", "b"}
	})
	nan, inf := math.NaN(), math.Inf(1)
	for form, c := range clients(t, serve.Models{"scores": m}) {
		for row, want := range map[string][2]float64{
			"[null, NaN]": {nan, nan}, "[Infinity, 0.5]": {inf, 0.5}, "[0.25, -Infinity]": {0.25, -inf},
		} {
			classes, err := c.Classify(t.Context(), "scores", []byte(row))
			if err != nil || len(classes) != 2 {
				t.Errorf("%s: %s: %v, %v", form, row, classes, err)
				continue
			}
			for i, got := range classes {
				want := want[i]
				if strings.HasPrefix(form, "http") && want-want != 0 {
					want = nan
				}
				if got := float64(got.Score); got != want && (got == got || want == want) {
					t.Errorf("%s: %s: class %d is %v, want %v", form, row, i, got, want)
				}
			}
		}
	}
}

func TestClientClassifiesAndInfersPictures(t *testing.T) {
	models := servetest.Committed(t)
	m := models["shapes"]
	first, label := servetest.Golden(t, m, "shapes", 0)
	second, _ := servetest.Golden(t, m, "shapes", 1)
	want, err := m.Classify(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for form, c := range clients(t, models) {
		classes, err := c.Classify(t.Context(), "shapes", first)
		if err != nil || len(classes) != 3 || classes[0].Label != label {
			t.Errorf("%s: %v, %v; want %v", form, classes, err, want)
		}
		for i, c := range classes {
			rounded := 0. // over HTTP
			if strings.HasPrefix(form, "grpc") {
				rounded = 0.5e-6
			}
			if c.Label != want[i].Label || math.Abs(float64(c.Score-want[i].Score)) > rounded+1e-9 {
				t.Errorf("%s: class %d is %v, want %v", form, i, c, want[i])
			}
		}
		out, err := c.Infer(t.Context(), "shapes/versions/1", tensor.Map{"image": {Shape: []int64{2}, Data: []string{string(first), string(second)}}})
		if err != nil || out["probabilities"].Rows() != 2 || servetest.Best(out["probabilities"].Data.([]float32)[:3], m.Manifest().Labels)[0] != label {
			t.Errorf("%s: %v, %v", form, out, err)
		}
	}
}

// Rows are classified over both protocols, as an object and bare; what is none is refused.
func TestClientClassifiesRows(t *testing.T) {
	models := servetest.Committed(t)
	for form, c := range clients(t, models) {
		for _, row := range []string{`{"input":[5.9,3.2,4.8,1.8]}`, " [5.9, 3.2, 4.8, 1.8]"} {
			classes, err := c.Classify(t.Context(), "iris/versions/1", []byte(row))
			if err != nil || len(classes) != 3 || classes[0].Label != "virginica" || classes[0].Score < classes[1].Score {
				t.Errorf("%s: %s: %v, %v", form, row, classes, err)
			}
		}
		for _, bad := range []string{"", "{}", "[1,2]", "\xff\xd8", `{"input":[1,2,3,4],"other":1}`} {
			if classes, err := c.Classify(t.Context(), "iris", []byte(bad)); err == nil {
				t.Errorf("%s: %q: %v", form, bad, classes)
			}
		}
		if _, err := c.Classify(t.Context(), "nothing", []byte("[1]")); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("%s: no model: %v", form, err)
		}
	}
}

func TestClientMetadata(t *testing.T) {
	models := servetest.Committed(t)
	for form, c := range clients(t, models) {
		m, err := c.Metadata(t.Context(), "shapes")
		if err != nil || m.Name != "shapes" || m.Versions[0] != "1" || m.Inputs[0].Name != "image" || m.Inputs[0].DType != tensor.String ||
			m.Outputs[0].Name != "probabilities" || m.Outputs[0].Shape[1] != 3 {
			t.Errorf("%s: %+v, %v", form, m, err)
		}
		if rest := strings.HasPrefix(form, "http"); rest && (m.Digest != models["shapes"].Digest() || len(m.Labels) != 3) {
			t.Errorf("%s: digest %q, labels %q", form, m.Digest, m.Labels)
		}
		for _, name := range []string{"", "iris", "iris/versions/1"} {
			if err := c.Ready(t.Context(), name); err != nil {
				t.Errorf("%s: %q is not ready: %v", form, name, err)
			}
		}
	}
}

func TestClientErrorsByKind(t *testing.T) {
	models := servetest.Committed(t)
	models["slow"] = servetest.GraphModel(t, "slow")
	row := tensor.Map{"input": {Shape: []int64{1, 4}, Data: make([]float32, 4)}}
	for form, c := range clients(t, models) {
		for _, name := range []string{"other", "iris/versions/7"} {
			if _, err := c.Infer(t.Context(), name, row); !errors.Is(err, client.ErrNotFound) || !errors.As(err, new(*client.Error)) {
				t.Errorf("%s: %s: %v", form, name, err)
			}
			if _, err := c.Metadata(t.Context(), name); !errors.Is(err, client.ErrNotFound) {
				t.Errorf("%s: metadata of %s: %v", form, name, err)
			}
			want := client.ErrNotFound
			if strings.HasPrefix(form, "grpc") { // where the protocol's answer is only yes or no
				want = client.ErrUnavailable
			}
			if err := c.Ready(t.Context(), name); !errors.Is(err, want) {
				t.Errorf("%s: ready %s: %v", form, name, err)
			}
		}
		if _, err := c.Infer(t.Context(), "iris", tensor.Map{"wrong": row["input"]}); !errors.Is(err, client.ErrInput) || !strings.Contains(err.Error(), `no input "wrong"`) {
			t.Errorf("%s: wrong input: %v", form, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := c.Infer(ctx, "slow", tensor.Map{"x": {Shape: []int64{1, 3}, Data: make([]float32, 3)}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: deadline: %v", form, err)
		}
		cancel()
	}
}

// While one row runs and one waits, where only one may, a third is refused at once.
func TestClientIsToldThatTheServerIsBusy(t *testing.T) {
	m, err := predict.Options{Instances: 1, MaxBatchRows: 1, MaxQueueRows: 1}.Load(t.Context(), servetest.GraphBundle(t, "slow", "tensors"), onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for form, c := range clients(t, serve.Models{"slow": m}) {
		ctx, cancel := context.WithCancel(t.Context())
		const callers = 3
		errs := make(chan error, callers)
		for range callers {
			go func() {
				_, err := c.Infer(ctx, "slow", tensor.Map{"x": {Shape: []int64{1, 3}, Data: make([]float32, 3)}})
				errs <- err
			}()
		}
		var failed *client.Error
		if err := <-errs; !errors.Is(err, client.ErrBusy) || !errors.As(err, &failed) || !strings.Contains(failed.Message, "busy") ||
			strings.HasPrefix(form, "http") && failed.RetryAfter == 0 {
			t.Errorf("%s: %v", form, err)
		}
		cancel()
		for range callers - 1 {
			<-errs
		}
	}
}
