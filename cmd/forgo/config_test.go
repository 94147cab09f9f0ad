package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	forgo "github.com/forgo-ml/forgo"

	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/serve/repository"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forgo.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// printed runs serve --print-config.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"serve", "--print-config"}, args...), &out, &errs); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	return out.String()
}

// The command line comes before the variables, the variables before the file, the file before
// what holds otherwise; and what is printed says all of it again.
func TestConfigPrecedence(t *testing.T) {
	path := writeConfig(t, "max_batch_rows: 1\nmax_queue_rows: 2\nmax_pictures: 3\npaths: [a, b]\n"+
		"models:\n  iris:\n    versions: latest:2\n    labels: {canary: 7}\n    max_delay: 2ms\n")
	t.Setenv("FORGO_MAX_BATCH_ROWS", "10")
	t.Setenv("FORGO_MAX_QUEUE_ROWS", "20")
	text := printed(t, "--config", path, "--max-batch-rows", "100")
	for _, want := range []string{
		"max_batch_rows: 100\n", "max_queue_rows: 20\n", "max_pictures: 3\n", "max_json_depth: 64\n",
		"http: 127.0.0.1:8080\n", "- a\n- b\n", "versions: latest:2\n", "canary: \"7\"\n", "max_delay: 2ms\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	t.Setenv("FORGO_MAX_BATCH_ROWS", "")
	os.Unsetenv("FORGO_MAX_BATCH_ROWS")
	os.Unsetenv("FORGO_MAX_QUEUE_ROWS")
	if again := printed(t, "--config", writeConfig(t, text)); again != text {
		t.Errorf("printed again:\n%s\nwant\n%s", again, text)
	}
	t.Setenv("FORGO_CONFIG", path)
	if text := printed(t, "c"); !strings.Contains(text, "paths:\n- c\nadmin") || !strings.Contains(text, "max_pictures: 3\n") {
		t.Errorf("from FORGO_CONFIG:\n%s", text)
	}
}

func TestConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"\nmax_bacth_rows: 3":                   "forgo.yaml:2:17: unknown key max_bacth_rows; the keys are paths, models, admin",
		"max-batch-rows: 3":                     "unknown key max-batch-rows",
		"config: other.yaml":                    "unknown key config",
		"http: [a]":                             "forgo.yaml:1:7: http: expected one value",
		"threads:":                              "threads: expected one value",
		"max_batch_rows: many":                  "max_batch_rows: invalid argument \"many\"",
		"max_batch_rows: -1":                    "--max-batch-rows must not be negative, but is -1",
		"http: nowhere":                         "--http: \"nowhere\" is neither HOST:PORT nor off",
		"http: a\nhttp: b":                      "forgo.yaml:2:1: mapping key \"http\" already defined at line 1",
		"- a":                                   "forgo.yaml:1:1: expected keys and values",
		"a: b: c":                               "forgo.yaml:1:5: mapping values are not allowed",
		"paths: x":                              "forgo.yaml:1:8: paths: \"x\" is not a list",
		"models: {iris: {thread: 1}}":           "forgo.yaml:1:25: models.iris: unknown setting thread; the settings are instances, labels",
		"models: {iris: {threads: x}}":          "forgo.yaml:1:26: models.iris.threads: \"x\" is not a whole number",
		"models: {iris: {threads: -1}}":         "must not be negative",
		"models: {iris: {max_delay: 3}}":        "forgo.yaml:1:28: models.iris.max_delay: \"3\" is not a duration, such as 5ms",
		"models: {iris: {versions: newest}}":    "models.iris.versions: \"newest\" is not latest, latest:N",
		"models: {iris: {labels: {a: b}}}":      "models.iris: labels: a names \"b\": give a version number",
		"models: [a]":                           "forgo.yaml:1:9: models: expected keys and values",
		"models: {a: {threads: 1, threads: 2}}": "already defined at line 1",
		"models: {a: 3}":                        "forgo.yaml:1:13: models.a: expected keys and values",
		"models: {a: {labels: 3}}":              "models.a.labels: \"3\" is not a mapping of labels to versions",
		"models: {a: {path: [b]}}":              "models.a.path: a list is not a path",
		"":                                      "give a bundle or a folder of models to serve",
	} {
		var errs bytes.Buffer
		code := run(t.Context(), []string{"serve", "--config", writeConfig(t, text)}, io.Discard, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%q: exit code %d, %s; want %q", text, code, &errs, want)
		}
	}
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"serve", "--config", "nothing.yaml"}, io.Discard, &errs); code != exitUsage || !strings.Contains(errs.String(), "no such file") {
		t.Errorf("exit code %d, %s", code, &errs)
	}
}

// A variable that nothing reads is a mistake, but for those that are set for others.
func TestUnknownVariablesAreRefused(t *testing.T) {
	for entry, want := range map[string]string{
		"FORGO_MAX_BACTH_ROWS=3":   "FORGO_MAX_BACTH_ROWS: unknown variable; did you mean FORGO_MAX_BATCH_ROWS?",
		"FORGO_MAX_BATCH_ROW=3":    "did you mean FORGO_MAX_BATCH_ROWS?",
		"FORGO_MAX-BATCH-ROWS=3":   "FORGO_MAX-BATCH-ROWS: unknown variable; did you mean FORGO_MAX_BATCH_ROWS?",
		"FORGO_HTPP=a:1":           "did you mean FORGO_HTTP?",
		"FORGO_PORT=9000":          "FORGO_PORT: unknown variable", // which only a service's address is
		"FORGO_PORT_FOR_HTTP=9000": "FORGO_PORT_FOR_HTTP: unknown variable",
		"FORGO_MODELS=/srv":        "FORGO_MODELS: unknown variable",
		"FORGO_=":                  "FORGO_: unknown variable",
	} {
		t.Run(entry, func(t *testing.T) {
			name, value, _ := strings.Cut(entry, "=")
			t.Setenv(name, value)
			var errs bytes.Buffer
			code := run(t.Context(), []string{"serve", iris, "--print-config"}, io.Discard, &errs)
			if code != exitUsage || !strings.Contains(errs.String(), want) || strings.Count(errs.String(), "\n") != 1 {
				t.Errorf("exit code %d, %s; want %q", code, &errs, want)
			}
		})
	}
	for _, entry := range []string{
		"FORGO_ONNXRUNTIME=/opt/onnxruntime.so", "FORGO_TENSORFLOW=none", "FORGO_PYTHON=/usr", "FORGO_BINARY=/bin/forgo", "FORGO_TRACEBACK=1",
		"FORGO_API_KEY=of-verify", "FORGO_URL=http://127.0.0.1:1", "FORGO_VERSION=0.1.0", "forgo_other=1", "FORGOTTEN=1",
		"FORGO_SERVICE_HOST=10.0.0.1", "FORGO_SERVICE_PORT=8080", "FORGO_SERVICE_PORT_HTTP=8080", "FORGO_PORT=tcp://10.0.0.1:8080",
		"FORGO_PORT_8080_TCP=tcp://10.0.0.1:8080", "FORGO_PORT_8080_TCP_PROTO=tcp", "FORGO_PORT_8080_TCP_PORT=8080", "FORGO_PORT_8080_TCP_ADDR=10.0.0.1",
		"FORGO_PORT_53_UDP=udp://10.0.0.1:53", "FORGO_ADMIN_SERVICE_HOST=10.0.0.2", "FORGO_ADMIN_SERVICE_PORT_METRICS=8082",
		"FORGO_ADMIN_PORT=tcp://10.0.0.2:8082", "FORGO_ADMIN_PORT_8082_TCP_ADDR=10.0.0.2",
	} {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	printed(t, iris)
}

// A program that starts a server can keep its own variables from setting anything.
func TestNoVariables(t *testing.T) {
	before := printed(t, "--no-variables", iris)
	for name, value := range map[string]string{"FORGO_MAX_BATCH_ROWS": "7", "FORGO_CONFIG": "nothing.yaml", "FORGO_MISSPELT": "1", "FORGO_HTTP": "nonsense"} {
		t.Setenv(name, value)
	}
	if after := printed(t, "--no-variables", iris); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
}

// Other verbs leave alone what is meant for a server.
func TestVariablesOfServeAreNoMatterToOthers(t *testing.T) {
	t.Setenv("FORGO_MAX_BACTH_ROWS", "3")
	t.Setenv("FORGO_MAX_BATCH_ROWS", "many")
	if code := run(t.Context(), []string{"inspect", iris}, io.Discard, io.Discard); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// lines is a standard error that can be waited on.
type lines struct {
	bytes.Buffer
	wrote chan string
}

func (l *lines) Write(b []byte) (int, error) {
	l.wrote <- string(b)
	return len(b), nil
}

// A changed file gives the models other settings while the server runs; a broken one is said.
func TestConfigIsReadAgain(t *testing.T) {
	bundle, err := filepath.Abs(iris)
	if err != nil {
		t.Fatal(err)
	}
	models := func(threads int, label string) string {
		return fmt.Sprintf("models: {iris: {path: %s, threads: %d, labels: {%s: 1}}}\n", bundle, threads, label)
	}
	path := writeConfig(t, models(1, "first"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := &lines{wrote: make(chan string)}
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{
			"serve", "--config", path, "--verify", "quick", "--watch", "5ms",
			"--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off",
		}, io.Discard, errs)
	}()
	await := func(want string) {
		t.Helper()
		for late := time.After(waittest.Long); ; {
			select {
			case line := <-errs.wrote:
				if strings.Contains(line, want) {
					return
				}
			case c := <-code:
				t.Fatalf("ended with %d", c)
			case <-late:
				t.Fatalf("not within %v: %s", waittest.Long, want)
			}
		}
	}
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	await("serving")
	change(models(1, "other") + "max_pictures: 7\n")
	await("configuration")
	change("models: [")
	await("forgo.yaml")
	change(models(2, "other"))
	await(`"msg":"loaded"`)
	stop()
	for late := time.After(waittest.Long); ; {
		select {
		case <-errs.wrote:
		case c := <-code:
			if c != exitDone {
				t.Errorf("exit code %d", c)
			}
			return
		case <-late:
			t.Fatal("it does not stop")
		}
	}
}

func TestSizesHaveUnits(t *testing.T) {
	printed := func(args ...string) string {
		code, out, errs := command(t, append([]string{"serve", "--print-config"}, args...)...)
		if code != exitDone {
			t.Fatalf("%v: exit code %d, %s", args, code, errs)
		}
		return out
	}
	t.Setenv("FORGO_MAX_OUTPUT_BYTES", "64MiB")
	file := filepath.Join(t.TempDir(), "forgo.yaml")
	if err := os.WriteFile(file, []byte("max_queue_bytes: 2 GB\nmodels:\n  iris:\n    max_queue_bytes: 5kB\n  two:\n    max_queue_bytes: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := printed("--max-body", "10MB", "--config", file)
	for _, want := range []string{"max_body: 10000000\n", "max_output_bytes: 67108864\n", "max_queue_bytes: 2000000000\n", "max_queue_bytes: 5000\n", "max_queue_bytes: 7\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	for _, args := range [][]string{{"--max-body", "10 parsecs"}, {"--max-body", "-1"}, {"--max-queue-bytes", "-5MB"}, {"--max-output-bytes", "many"}} {
		code, _, errs := command(t, append([]string{"serve", iris}, args...)...)
		if code != exitUsage || !strings.Contains(errs, args[0]) || !strings.Contains(errs, strings.TrimPrefix(args[1], "-")) {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
	if err := os.WriteFile(file, []byte("models:\n  iris:\n    max_queue_bytes: many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, "serve", "--print-config", "--config", file); code != exitUsage || !strings.Contains(errs, "64MiB") || strings.Contains(errs, "bytesize") {
		t.Errorf("in a model's settings: exit code %d, %s", code, errs)
	}
}

func TestVersionAndCompletion(t *testing.T) {
	if code, out, _ := command(t, "version"); code != exitDone || out != "forgo "+forgo.Version()+"\n" {
		t.Errorf("version: exit code %d, %q", code, out)
	}
	if code, out, _ := command(t, "completion", "bash"); code != exitDone || !strings.Contains(out, "__complete") {
		t.Errorf("completion: exit code %d, %.100s", code, out)
	}
	if code, out, _ := command(t, "help", "predict"); code != exitDone || !strings.Contains(out, "forgo predict") {
		t.Errorf("help: exit code %d, %.100s", code, out)
	}
	t.Setenv("FORGO_PYTHON", "")
	if _, out, _ := command(t, "__complete", ""); !strings.Contains(out, "predict\t") || strings.Contains(out, "train\t") {
		t.Errorf("verbs: %s", out)
	}
	t.Setenv("FORGO_PYTHON", "/usr")
	if _, out, _ := command(t, "__complete", ""); !strings.Contains(out, "predict\t") || !strings.Contains(out, "train\t") {
		t.Errorf("verbs with Python's: %s", out)
	}
}

// The file knows every setting that --print-config writes.
func TestEverySettingOfAModelIsRead(t *testing.T) {
	var s repository.Settings
	known := settings(&s)
	for field := range reflect.TypeFor[repository.Settings]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if _, ok := known[name]; !ok {
			t.Errorf("models.NAME.%s is not read", name)
		}
		delete(known, name)
	}
	for name := range known {
		t.Errorf("models.NAME.%s is read and never written", name)
	}
}
