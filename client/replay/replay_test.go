package replay_test

// Replays against forgo's own server, as it is and with models that answer otherwise.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/client/replay"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
)

const bundles = "../../conformance/bundles/"

// start serves a bundle under a name, and returns the URLs of HTTP and gRPC.
func start(t *testing.T, name, path string) (web, rpc string) {
	t.Helper()
	m, err := predict.Load(t.Context(), path, onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	server := serve.New(serve.Models{name: m}, serve.Options{Log: slog.New(slog.DiscardHandler)})
	overHTTP := httptest.NewServer(server.Handler())
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	overGRPC := server.GRPC()
	go func() { _ = overGRPC.Serve(l) }()
	t.Cleanup(func() {
		overGRPC.Stop()
		overHTTP.Close()
		_ = m.Close()
	})
	return overHTTP.URL, "grpc://" + l.Addr().String()
}

func open(t *testing.T, path string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// tensorsOf makes a bundle of plain tensors of a classifier's: two outputs, no labels.
func tensorsOf(t *testing.T, path string) string {
	t.Helper()
	folder := bundletest.Copy(t, path)
	bundletest.Edit(t, folder, func(m map[string]any) {
		m["task"] = "tensors"
		delete(m, "labels")
		for _, c := range m["golden"].(map[string]any)["cases"].([]any) {
			delete(c.(map[string]any), "label")
		}
	})
	return folder
}

func TestThisServerIsProvenInEveryProtocol(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		native []string
		top1   bool
	}{
		"shapes":  {bundles + "shapes.forgo", []string{"body", "form"}, true},
		"iris":    {bundles + "iris.forgo", []string{"body", "rows", "lines", "csv"}, true},
		"tensors": {tensorsOf(t, bundles+"iris.forgo"), []string{"body", "rows", "lines", "csv"}, false},
	} {
		web, rpc := start(t, name, c.path)
		report, err := replay.Options{Protocols: serve.Replays(), Model: name}.Run(t.Context(), open(t, c.path), web, rpc)
		if err != nil || report.Err() != nil || report.Cases != 16 || len(report.Results) != 5 {
			t.Fatalf("%s: %+v, %v, %v", name, report, err, report.Err())
		}
		forms := map[string][]string{
			"oip": {"json", "binary", "classes"}, "oip-grpc": {"contents", "raw"}, "tensorflow-grpc": {"values", "content", "examples"},
			"tensorflow": {"instances", "inputs", "classify"}, "native": c.native,
		}
		if !c.top1 {
			forms["tensorflow"], forms["tensorflow-grpc"] = []string{"instances", "inputs"}, []string{"values", "content"}
			forms["oip"] = []string{"json", "binary"}
		}
		for _, r := range report.Results {
			if !slices.Equal(r.Forms, forms[r.Protocol]) || r.Rows < len(r.Forms)*16 || r.LargestDifference > 1e-5 || !strings.HasPrefix(r.Server, "forgo ") {
				t.Errorf("%s: %+v", name, r)
			}
			if (r.Top1Agreement != nil) != c.top1 || c.top1 && *r.Top1Agreement != 1 {
				t.Errorf("%s, %s: top-1 agreement %v", name, r.Protocol, r.Top1Agreement)
			}
		}
	}
}

// skewed is a copy of iris that is served without proof.
func skewed(t *testing.T, change func(m map[string]any)) string {
	t.Helper()
	path := bundletest.Copy(t, bundles+"iris.forgo")
	bundletest.Edit(t, path, func(m map[string]any) {
		change(m)
		m["golden"] = map[string]any{"cases": []any{}, "none": "made to differ"}
		for name := range m["files"].(map[string]any) {
			if strings.HasPrefix(name, "golden/") {
				delete(m["files"].(map[string]any), name)
			}
		}
	})
	return path
}

func TestServersThatDifferAreRefused(t *testing.T) {
	swapOutputs := func(m map[string]any) {
		outputs := m["outputs"].([]any)
		a, b := outputs[0].(map[string]any), outputs[1].(map[string]any)
		a["graph_name"], b["graph_name"] = b["graph_name"], a["graph_name"]
	}
	reverseLabels := func(m map[string]any) { slices.Reverse(m["labels"].([]any)) }
	rename := func(kind string, names ...string) func(m map[string]any) {
		return func(m map[string]any) {
			for i, name := range names {
				m[kind].([]any)[i].(map[string]any)["name"] = name
			}
		}
	}
	for name, c := range map[string]struct {
		change   func(m map[string]any)
		protocol string
		says     string // "" where the server is right
	}{
		"another digest":    {rename("inputs", "other"), "oip", "answers with the bundle sha256:"},
		"outputs swapped":   {swapOutputs, "oip-grpc", `tensor "probabilities" differs by`},
		"labels reversed":   {reverseLabels, "native", "answers with the bundle"},
		"input renamed":     {rename("inputs", "other"), "oip-grpc", ""},
		"an output renamed": {rename("outputs", "other"), "oip-grpc", `the answer has no output "probabilities", only `},
	} {
		t.Run(name, func(t *testing.T) {
			web, rpc := start(t, "iris", skewed(t, c.change))
			url := web
			if c.protocol == "oip-grpc" {
				url = rpc
			}
			report, err := replay.Options{Protocols: serve.Replays(), Only: []string{c.protocol}}.Run(t.Context(), open(t, bundles+"iris.forgo"), url)
			if err != nil {
				t.Fatal(err)
			}
			err = report.Err()
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var failure *replay.Failure
			var parity *predict.ParityError
			if !errors.As(err, &failure) || !errors.As(err, &parity) || parity.Stage != predict.StageServe || failure.Protocol != c.protocol ||
				!strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), url) {
				t.Errorf("%v; want %q", err, c.says)
			}
		})
	}
}

// through serves a server's JSON answers changed, as a faulty gateway would.
func through(t *testing.T, server string, change func(path string, answer any) any) string {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: func(resp *http.Response) error {
			var answer any
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
				return err
			}
			body, err := json.Marshal(change(resp.Request.URL.Path, answer))
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return err
		},
	})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestAnswersThatAreChangedAreFound(t *testing.T) {
	web, _ := start(t, "iris", bundles+"iris.forgo")
	// each calls a change with every object in an answer.
	each := func(answer any, change func(map[string]any)) any {
		list, ok := answer.([]any)
		if !ok {
			list = []any{answer}
		}
		for _, one := range list {
			change(one.(map[string]any))
		}
		return answer
	}
	reverse := func(field string) func(any) any {
		return func(answer any) any {
			return each(answer, func(m map[string]any) {
				if list, ok := m[field].([]any); ok {
					slices.Reverse(list)
				}
			})
		}
	}
	classes := func(change func([]any) []any) func(any) any {
		return func(answer any) any {
			return each(answer, func(m map[string]any) { m["classes"] = change(m["classes"].([]any)) })
		}
	}
	for name, c := range map[string]struct {
		protocol string
		verb     string // how the paths end whose answers are changed
		change   func(answer any) any
		form     string
		batch    int
		says     string
	}{
		"rows reversed":    {"tensorflow", ":predict", reverse("predictions"), "instances", 8, "row 0 in a batch of 8: tensor \"probabilities\" differs by"},
		"columns reversed": {"tensorflow", ":predict", reverse("outputs"), "inputs", 8, "differs by"},
		"a row too few": {"tensorflow", ":predict", func(a any) any {
			return each(a, func(m map[string]any) {
				if rows, ok := m["predictions"].([]any); ok {
					m["predictions"] = rows[1:]
				}
			})
		}, "instances", 1, "has shape [0] for 1 cases"},
		"labels renamed": {"tensorflow", ":classify", func(a any) any {
			return each(a, func(m map[string]any) {
				for _, result := range m["results"].([]any) {
					result.([]any)[0].([]any)[0] = "rose"
				}
			})
		}, "classify", 1, `label "rose" is not the bundle's`},
		"worst first":      {"native", "/iris", classes(func(l []any) []any { slices.Reverse(l); return l }), "body", 1, "comes after one with a lower score"},
		"a label left out": {"native", "/iris", classes(func(l []any) []any { return l[:2] }), "body", 1, "2 labels, the bundle has 3"},
		"scores shifted": {"native", "/iris", classes(func(l []any) []any {
			for _, c := range l {
				c.(map[string]any)["score"] = c.(map[string]any)["score"].(float64) + 0.001
			}
			return l
		}), "body", 1, "differs by 0.001, tolerance 1e-04"},
		"digits dropped": {"oip", "/infer", func(a any) any {
			return each(a, func(m map[string]any) {
				for _, o := range m["outputs"].([]any) {
					for i, x := range o.(map[string]any)["data"].([]any) {
						if x, ok := x.(float64); ok {
							o.(map[string]any)["data"].([]any)[i] = math.Round(x*1000) / 1000
						}
					}
				}
			})
		}, "json", 1, "tolerance 1e-04"},
		"the best class renamed": {"oip", "/infer", func(a any) any {
			return each(a, func(m map[string]any) {
				for _, o := range m["outputs"].([]any) {
					for i, x := range o.(map[string]any)["data"].([]any) {
						if _, ok := x.(string); ok {
							o.(map[string]any)["data"].([]any)[i] = "1.000000:0:rose"
						}
					}
				}
			})
		}, "classes", 1, `answered "rose"`},
		"an output left out": {"oip", "/infer", func(a any) any {
			return each(a, func(m map[string]any) { m["outputs"] = m["outputs"].([]any)[:1] })
		}, "json", 1, `no output "logits"`},
	} {
		t.Run(name, func(t *testing.T) {
			at := through(t, web, func(path string, answer any) any {
				if path == "/v2" {
					answer.(map[string]any)["extensions"] = []any{} // what passes here is JSON
				}
				if strings.HasSuffix(path, c.verb) && path != "/v2/models/iris" {
					return c.change(answer)
				}
				return answer
			})
			report, err := replay.Options{Protocols: serve.Replays(), Only: []string{c.protocol}, Callers: 1}.Run(t.Context(), open(t, bundles+"iris.forgo"), at)
			if err != nil {
				t.Fatal(err)
			}
			f := report.Results[0].Failure
			if f == nil || f.Form != c.form || f.Batch != c.batch || f.Case == "" || !strings.Contains(f.Error(), c.says) {
				t.Errorf("%+v; want form %s, batch %d, %q", f, c.form, c.batch, c.says)
			}
		})
	}
}

func TestWhatCannotBeReplayed(t *testing.T) {
	web, rpc := start(t, "iris", bundles+"iris.forgo")
	nothing := httptest.NewServer(http.NotFoundHandler())
	defer nothing.Close()
	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer denied.Close()
	for name, c := range map[string]struct {
		o    replay.Options
		path string
		url  string
		says string
	}{
		"unknown model":            {replay.Options{Protocols: serve.Replays(), Model: "roses"}, "iris", web, `; oip: GET `},
		"unknown version":          {replay.Options{Protocols: serve.Replays(), Version: "7"}, "iris", web, `no version "7"`},
		"unknown model over gRPC":  {replay.Options{Protocols: serve.Replays(), Model: "roses"}, "iris", rpc, `NotFound: no such model "roses"`},
		"another kind of server":   {replay.Options{Protocols: serve.Replays()}, "iris", nothing.URL, "does not offer model"},
		"no server":                {replay.Options{Protocols: serve.Replays()}, "iris", "http://127.0.0.1:1", "connection refused"},
		"no key":                   {replay.Options{Protocols: serve.Replays()}, "iris", denied.URL, "401 Unauthorized"},
		"no URL":                   {replay.Options{Protocols: serve.Replays()}, "iris", "127.0.0.1:80", "server URL"},
		"unknown protocol":         {replay.Options{Protocols: serve.Replays(), Only: []string{"soap"}}, "iris", web, `unknown protocol "soap"`},
		"a protocol without a URL": {replay.Options{Protocols: serve.Replays(), Only: []string{"oip", "oip-grpc"}}, "iris", web, "oip-grpc needs a URL that begins with grpc://"},
		"no cases":                 {replay.Options{Protocols: serve.Replays()}, skewed(t, func(map[string]any) {}), web, "nothing to replay"},
	} {
		path := c.path
		if path == "iris" {
			path = bundles + "iris.forgo"
		}
		_, err := c.o.Run(t.Context(), open(t, path), strings.Fields(c.url)...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (replay.Options{Protocols: serve.Replays()}).Run(ctx, open(t, bundles+"iris.forgo"), web); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
