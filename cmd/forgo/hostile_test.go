package main

// What comes from outside is shown as text, and nothing but a proof is called one.

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
)

const hostile = "\r\x1b[2K\u009b2Kparity proven: 16 of 16 cases\n\u202enevorp"

// unproven is a bundle without golden cases whose strings try to look like a proof.
func unproven(t *testing.T, path string) string {
	t.Helper()
	place := bundletest.Copy(t, path)
	bundletest.Edit(t, place, func(m map[string]any) {
		m["golden"] = map[string]any{"cases": []any{}, "none": "none" + hostile}
		files := m["files"].(map[string]any)
		for name := range files {
			if strings.HasPrefix(name, "golden/") {
				delete(files, name)
			}
		}
		labels := m["labels"].([]any)
		for i := range labels {
			labels[i] = labels[i].(string) + hostile
		}
	})
	if err := os.RemoveAll(filepath.Join(place, "golden")); err != nil {
		t.Fatal(err)
	}
	return place
}

// looksLikeText fails where anything but the layout is not printable, or where a line begins as
// a proof does.
func looksLikeText(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsGraphic(r) {
			t.Errorf("%s: %q has %U", what, text, r)
			return
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "parity proven") {
			t.Errorf("%s: %q", what, text)
		}
	}
}

func TestStringsFromOutsideAreShownAsText(t *testing.T) {
	place := unproven(t, iris)
	row := filepath.Join(t.TempDir(), "row"+hostile+".json")
	if err := os.WriteFile(row, []byte("[5.9, 3.2, 4.8, 1.8]"), 0o600); err != nil {
		t.Fatal(err)
	}
	labels := filepath.Join(t.TempDir(), "labels.txt")
	if err := os.WriteFile(labels, []byte("a\x1b[2K\nb\u009b\nc\u202e\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"inspect", place},
		{"inspect", "--json", place},
		{"predict", place, row},
		{"predict", "--json", "--top", "0", place, row},
		{"predict", place, row + hostile},
		{"predict", "--labels", labels, conformance + "savedmodels/iris", row},
		{"verify", place},
		{"verify", "--json", place},
		{"verify", "--allow-unproven", place},
		{"verify", "--json", "--allow-unproven", place},
		{"verify", place + hostile},
		{"verify", "--" + hostile, place},
		{hostile},
		{"serve", "--name", hostile, place + hostile},
		{"serve", "--log-level", hostile, place},
		{"serve", "--print-config", "--name", hostile, place + hostile},
	} {
		_, out, errs := command(t, args...)
		looksLikeText(t, strings.Join(args[:min(2, len(args))], " ")+" stdout", out)
		looksLikeText(t, strings.Join(args[:min(2, len(args))], " ")+" stderr", errs)
		if out+errs == "" {
			t.Errorf("%q printed nothing", args)
		}
		for line := range strings.Lines(out) {
			if len(args) > 1 && args[1] == "--json" && args[0] != "inspect" && !json.Valid([]byte(line)) {
				t.Errorf("%q printed %q, which is not JSON", args, line)
			}
		}
	}
	_, out, _ := command(t, "predict", "--json", place, row)
	var answer struct {
		File    string
		Classes []struct{ Label string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.File != row || !strings.HasSuffix(answer.Classes[0].Label, hostile) {
		t.Errorf("as JSON the strings are no longer what they were: %v, %q", err, out)
	}
}

func TestEveryLineGoesThroughPrintable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	raw := regexp.MustCompile(`\bfmt\.Fprint(f|\()`)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := raw.Find(source); found != nil {
			t.Errorf("%s calls %s: printable.Fprintf escapes strings from outside", name, found)
		}
	}
}

func TestVerifyRefusesWhatIsNotProven(t *testing.T) {
	place := unproven(t, iris)
	code, out, errs := command(t, "verify", place)
	if code != exitRefused || out != "" || !strings.Contains(errs, "not proven") || !strings.Contains(errs, "--allow-unproven") || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	code, out, _ = command(t, "verify", "--json", place)
	var verdict struct {
		OK    bool
		Stage string
	}
	if err := json.Unmarshal([]byte(out), &verdict); err != nil || code != exitRefused || verdict.OK || verdict.Stage != "bundle" {
		t.Errorf("as JSON: exit code %d, %v, %s", code, err, out)
	}
	t.Setenv("FORGO_ALLOW_UNPROVEN", "true") // it must not come from where nobody looks
	if code, _, _ := command(t, "verify", place); code != exitRefused {
		t.Errorf("with a variable: exit code %d", code)
	}
	if code, out, _ := command(t, "verify", "--allow-unproven", place); code != exitDone || !strings.Contains(out, "NOT PROVEN") {
		t.Errorf("allowed: exit code %d, %s", code, out)
	}
}

func TestServeRequiresProofWhereAsked(t *testing.T) {
	place := unproven(t, iris)
	var stderr bytes.Buffer
	args := []string{"serve", "--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off"}
	if code := run(t.Context(), append(args, "--require-proof", place), io.Discard, &stderr); code != exitRefused || !strings.Contains(stderr.String(), "parity is not proven") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}

	models := t.TempDir()
	if err := os.CopyFS(filepath.Join(models, "iris", "1"), os.DirFS(iris)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := &stopper{sign: "parity is not proven", stop: stop}
	appears := &onSign{stopper: errs, sign: `"msg":"serving"`, do: func() {
		if err := os.CopyFS(filepath.Join(models, "iris", "2"), os.DirFS(place)); err != nil {
			t.Error(err)
		}
	}}
	if code := run(ctx, append(args, "--require-proof", "--watch", "20ms", models), io.Discard, appears); code != exitDone {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
	if said := errs.String(); !strings.Contains(said, "parity is not proven") || strings.Contains(said, `"version":"2","digest"`) {
		t.Errorf("the new version was not refused: %s", said)
	}
}

// onSign does something once what is written has a sign in it.
type onSign struct {
	*stopper
	sign string
	do   func()
	done bool
}

func (o *onSign) Write(b []byte) (int, error) {
	if !o.done && bytes.Contains(b, []byte(o.sign)) {
		o.done = true
		o.do()
	}
	return o.stopper.Write(b)
}
