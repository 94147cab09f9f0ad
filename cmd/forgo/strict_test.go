package main

// The real binary over a folder with a model that is refused: --strict stops it at the start, and
// --ready says whether the others make it ready.

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
)

// fourAndABadOne is a folder of four models that answer and one whose graph is empty.
func fourAndABadOne(t *testing.T) string {
	t.Helper()
	models := t.TempDir()
	for _, name := range []string{"a", "b", "bad", "c", "d"} {
		path := filepath.Join(models, name, "1")
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.Rename(bundletest.Copy(t, iris), path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(models, "bad", "1", "model.onnx"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return models
}

// What has no golden cases is refused where proof is asked for, and by verify unless it is told otherwise.
func TestUnprovenBundlesAreRefused(t *testing.T) {
	path := slowBundle(t)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"serve --require-proof":   {[]string{"serve", path, "--require-proof", "--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off"}, exitRefused, "parity is not proven: it has no golden cases (it would take minutes)"},
		"verify":                  {[]string{"verify", path}, exitRefused, "it would take minutes"},
		"verify --allow-unproven": {[]string{"verify", "--allow-unproven", path}, exitDone, "it would take minutes"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), c.args, &stdout, &stderr); code != c.code || !strings.Contains(stdout.String()+stderr.String(), c.says) {
			t.Errorf("%s: exit code %d, want %d: %s%s", name, code, c.code, &stdout, &stderr)
		}
	}
}

func post(t *testing.T, url, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestOneBadModelAtTheStart(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	command, models := binary(t), fourAndABadOne(t)

	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		out, err := exec.CommandContext(t.Context(), command, "serve", models, "--strict", "--log-format", "json",
			"--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off").CombinedOutput()
		var exit *exec.ExitError
		last := out[bytes.LastIndexByte(bytes.TrimSpace(out), '\n')+1:]
		if !errors.As(err, &exit) || exit.ExitCode() != exitRefused || !strings.Contains(string(last), `version 1 of model "bad"`) {
			t.Errorf("%v: %s", err, out)
		}
	})
	for _, c := range []struct {
		args   []string
		ready  int
		metric string
	}{
		{nil, 200, "forgo_ready 1\n"},
		{[]string{"--ready", "any"}, 200, "forgo_ready 1\n"},
		{[]string{"--ready", "all"}, 503, "forgo_ready 0\n"},
	} {
		t.Run(strings.Join(append([]string{"tolerated"}, c.args...), " "), func(t *testing.T) {
			t.Parallel()
			p := launch(t, command, append([]string{models, "--verify", "quick"}, c.args...)...)
			if !strings.Contains(p.log.String(), `"msg":"refused","model":"bad"`) {
				t.Errorf("the log does not name it: %s", &p.log)
			}
			for model, want := range map[string]int{"a": 200, "b": 200, "bad": 503, "c": 200, "d": 200} {
				if code := post(t, p.url("/models/"+model), row); code != want {
					t.Errorf("predict %s: %d, want %d", model, code, want)
				}
				if code, body := get(t, p.url("/v2/models/"+model+"/ready")); code != want {
					t.Errorf("ready %s: %d %s, want %d", model, code, body, want)
				}
			}
			if code, status := get(t, p.url("/v1/models/bad")); code != 200 || !strings.Contains(status, `"error_message"`) || strings.Contains(status, `"AVAILABLE"`) {
				t.Errorf("status: %d %s", code, status)
			}
			_, metrics := get(t, "http://"+p.addresses["admin"].(string)+"/metrics")
			for _, want := range []string{
				`forgo_model_ready{model="bad",version="1"} 0`, `forgo_model_ready{model="a",version="1"} 1`,
				`forgo_model_loads_total{model="bad",outcome="refused"} 1`, c.metric,
			} {
				if !strings.Contains(metrics, want) {
					t.Errorf("the metrics lack %q", want)
				}
			}
			if code, body := get(t, p.url("/v2/health/ready")); code != c.ready {
				t.Errorf("the server's ready: %d %s, want %d", code, body, c.ready)
			}
			_ = p.Process.Signal(syscall.SIGTERM)
			if code := p.ended(t, 30*time.Second); code != exitDone {
				t.Errorf("exit code %d: %s", code, &p.log)
			}
		})
	}
}

// A server is ready while a model is unloaded, or is not, as --ready says.
func TestReadyWithAModelUnloaded(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	command, two := binary(t), t.TempDir()
	for _, name := range []string{"iris", "flowers"} {
		if err := os.Rename(bundletest.Copy(t, iris), filepath.Join(two, name+".forgo")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, models string
		args         []string
		want         int // with iris unloaded
	}{
		{"one model, any", iris, []string{"--ready", "any"}, 503},
		{"one model, all", iris, []string{"--ready", "all"}, 503},
		{"one of two, any", two, []string{"--ready", "any"}, 200},
		{"one of two, all", two, []string{"--ready", "all"}, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, command, append([]string{c.models, "--verify", "quick"}, c.args...)...)
			waitReady(t, p.url(""))
			admin := "http://" + p.addresses["admin"].(string)
			for _, step := range []struct {
				verb string
				want int
			}{{"unload", c.want}, {"load", 200}} {
				if code := post(t, admin+"/v2/repository/models/iris/"+step.verb, "{}"); code != 200 {
					t.Fatalf("%s: %d", step.verb, code)
				}
				if code, body := get(t, p.url("/v2/health/ready")); code != step.want {
					t.Errorf("after %s: %d %s, want %d", step.verb, code, body, step.want)
				}
				if code, body := get(t, p.url("/v2/health/live")); code != 200 {
					t.Errorf("after %s: live is %d %s", step.verb, code, body)
				}
			}
		})
	}
	out, err := exec.CommandContext(t.Context(), command, "serve", iris, "--ready", "some").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.Contains(string(out), `--ready must be any or all, not "some"`) {
		t.Errorf("%v: %s", err, out)
	}
}
