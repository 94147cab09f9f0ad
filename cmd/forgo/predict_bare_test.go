package main

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const photo = conformance + "pictures/rgb.png"

// byNames is how the old model has to be called: by its tag and its layers' names.
func byNames(more ...string) []string {
	return append([]string{
		"predict", conformance + "savedmodels/forGo", "--tag", "tags", "--input", "input_1",
		"--output", "inferenceLayer/Softmax",
	}, more...)
}

func TestPredictSavedModelByItsNames(t *testing.T) {
	labels := filepath.Join(t.TempDir(), "labels.txt")
	if err := os.WriteFile(labels, []byte("female\nmale\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, byNames("--json", "--top", "0", "--labels", labels, photo)...)
	if code != exitDone || errs != "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var got struct {
		File    string
		Classes []struct {
			Label string
			Score float64
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	recorded, err := os.ReadFile(conformance + "savedmodels.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct{ Outputs map[string][][]float64 }
	if err := json.Unmarshal(recorded, &all); err != nil {
		t.Fatal(err)
	}
	want := all["forGo"].Outputs["inferenceLayer/Softmax"][1] // of this picture, by TensorFlow in Python
	score := map[string]float64{}
	for _, c := range got.Classes {
		score[c.Label] = c.Score
	}
	if math.Abs(score["female"]-want[0]) > 1e-4 || math.Abs(score["male"]-want[1]) > 1e-4 || got.File != photo {
		t.Errorf("got %s, want %v", out, want)
	}
}

func TestPredictBareSaysWhatItWasTold(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says []string // on stderr
		out  string
	}{
		"defaults":  {byNames(photo), []string{"parity NOT PROVEN", "8 x 8 pixels (bilinear), RGB, NHWC, (pixel * 1 - 0) / 1"}, "%"},
		"padded":    {byNames("--resize", "bicubic-pillow", "--fit", "pad", "--pad-colour", "114,114,114", photo), []string{"8 x 8 pixels (bicubic-pillow, pad 114,114,114), RGB"}, "%"},
		"said":      {byNames("--resize", "bilinear-tf1", "--channels", "BGR", "--mean", "103.939,116.779,123.68", "--image-size", "8", photo), []string{"(bilinear-tf1), BGR, NHWC, (pixel * 1 - 103.939,116.779,123.68) / 1"}, "%"},
		"fractions": {byNames("--scale", "1/255", "--std", "0.5", photo), []string{"(pixel * 0.003921569 - 0) / 0.5"}, "%"},
		"free channels": {
			[]string{"predict", conformance + "graphs/free-planes.onnx", "--image-size", "8x6", photo},
			[]string{"8 x 6 pixels", "NHWC (a guess", "shape does not show"},
			photo,
		},
		"channels first": {[]string{"predict", conformance + "graphs/free-planes.onnx", "--image-size", "8x6", "--layout", "nchw", photo}, []string{"NCHW, (pixel"}, photo},
		"ONNX":           {[]string{"predict", conformance + "graphs/planes.onnx", photo}, []string{"8 x 6 pixels", "NCHW, (pixel"}, photo},
		"a free size":    {[]string{"predict", conformance + "graphs/pictures.onnx", "--image-size", "4x5", photo}, []string{"4 x 5 pixels"}, photo},
	} {
		code, out, errs := command(t, c.args...)
		if code != exitDone || !strings.Contains(out, c.out) {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, errs)
		}
		for _, part := range c.says {
			if !strings.Contains(errs, part) {
				t.Errorf("%s: %q is not in %q", name, part, errs)
			}
		}
	}
}

// A scalar is given as one, by itself or by its name.
func TestPredictBareScalars(t *testing.T) {
	folder := t.TempDir()
	for name, c := range map[string]struct{ graph, row, out string }{
		"float16":         {"scalar-half", "1.5", `"y":3`},
		"float16 by name": {"scalar-half", `{"x": 1.5}`, `"y":3`},
		"a string":        {"scalar-string", `"forgo"`, "forgo"},
	} {
		path := filepath.Join(folder, "row.json")
		if err := os.WriteFile(path, []byte(c.row), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := command(t, "predict", "--json", conformance+"graphs/"+c.graph+".onnx", path)
		if code != exitDone || !strings.Contains(out, c.out) {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, errs)
		}
	}
	path := filepath.Join(folder, "row.json")
	if err := os.WriteFile(path, []byte("[1.5]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, "predict", conformance+"graphs/scalar-half.onnx", path); code != exitRefused || !strings.Contains(errs, "want float16[]") {
		t.Errorf("a list: exit code %d, %q", code, errs)
	}
}

// The limits are those of bundles.
func TestPredictBareIsBounded(t *testing.T) {
	row := func(text string) string {
		path := filepath.Join(t.TempDir(), "rows.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		graph, row string
		flags      []string
		says       string
	}{
		"a run":   {"graphs/slow.onnx", "[1, 2, 3]", []string{"--run-timeout", "200ms"}, "longer than 200ms"},
		"outputs": {"hostile/outer.onnx", "[1]", []string{"--max-output-bytes", "3"}, "more than the limit of 3"},
		"a load":  {"graphs/slow.onnx", "[1, 2, 3]", []string{"--load-timeout", "1ns"}, "loading takes longer than 1ns"},
	} {
		args := append([]string{"predict", conformance + c.graph, row(c.row)}, c.flags...)
		if code, out, errs := command(t, args...); code != exitRefused || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, errs)
		}
	}
}

// What guesses says so, also to programs.
func TestPredictBareSaysItsGuessWithJSON(t *testing.T) {
	guess := []string{"predict", "--json", conformance + "graphs/free-planes.onnx", "--image-size", "8x6", photo}
	if code, _, errs := command(t, guess...); code != exitDone || !strings.Contains(errs, "NHWC (a guess") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if code, _, errs := command(t, append(guess, "--layout", "nhwc")...); code != exitDone || errs != "" {
		t.Errorf("told: exit code %d, %q", code, errs)
	}
}

func TestPredictBareRows(t *testing.T) {
	row := filepath.Join(t.TempDir(), "row.json")
	if err := os.WriteFile(row, []byte(`{"words": ["serve", "forgo"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "predict", "--json", conformance+"savedmodels/text", row)
	if code != exitDone || !strings.Contains(out, `"number":[2,0]`) || !strings.Contains(out, `"loud":["SERVE","FORGO"]`) {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	code, out, errs = command(t, "predict", conformance+"savedmodels/text", "--output", "number", row)
	if code != exitDone || !strings.Contains(out, "[2,0]") || strings.Contains(out, "SERVE") {
		t.Errorf("one output: exit code %d: %s%s", code, out, errs)
	}
}

func TestPredictBareRefusals(t *testing.T) {
	twice := filepath.Join(t.TempDir(), "labels.txt")
	if err := os.WriteFile(twice, []byte("a\na\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	model := conformance + "savedmodels/forGo"
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"wrong tag":          {[]string{"predict", model, "--tag", "serve", photo}, exitRefused, []string{"[serve]", "[tags]"}},
		"wrong input":        {[]string{"predict", model, "--input", "input_2", "--output", "inferenceLayer/Softmax", photo}, exitRefused, []string{"input_2", "input_1"}},
		"wrong output":       {[]string{"predict", model, "--input", "input_1", "--output", "softmax", photo}, exitRefused, []string{"softmax", "inferenceLayer/Softmax"}},
		"no names":           {[]string{"predict", model, photo}, exitRefused, []string{"no signature", "input_1"}},
		"a tag for ONNX":     {[]string{"predict", conformance + "graphs/planes.onnx", "--tag", "serve", photo}, exitRefused, []string{"tags"}},
		"files":              {[]string{"predict", conformance + "savedmodels/reads", photo}, exitRefused, []string{"ReadFile", "refused"}},
		"no model":           {[]string{"predict", "nowhere", photo}, exitRefused, []string{"nowhere"}},
		"a bundle's flag":    {[]string{"predict", conformance + "bundles/shapes.forgo", "--mean", "117", photo}, exitUsage, []string{"--mean", "shapes.forgo"}},
		"scale":              {byNames("--scale", "0", photo), exitUsage, []string{"--scale"}},
		"division by nought": {byNames("--scale", "1/0", photo), exitUsage, []string{"--scale"}},
		"layout":             {byNames("--layout", "CHW", photo), exitUsage, []string{"NHWC", `"CHW"`}},
		"layout of others":   {[]string{"predict", conformance + "graphs/planes.onnx", "--layout", "NHWC", photo}, exitRefused, []string{"--layout", "NHWC"}},
		"mean":               {byNames("--mean", "1,x", photo), exitUsage, []string{"--mean", `"x"`}},
		"size":               {byNames("--image-size", "8x", photo), exitUsage, []string{"--image-size"}},
		"fit":                {byNames("--fit", "letterbox", photo), exitUsage, []string{"--fit", `"letterbox"`, "shorter-side"}},
		"shorter side alone": {byNames("--shorter-side", "256", photo), exitUsage, []string{"--shorter-side", "needs the fit shorter-side"}},
		"short side":         {byNames("--fit", "shorter-side", "--shorter-side", "7", photo), exitRefused, []string{"7, less than the crop of 8 x 8", "give 8 or more"}},
		"pad colour":         {byNames("--fit", "pad", "--pad-colour", "1,2,256", photo), exitUsage, []string{"--pad-colour", `"1,2,256"`}},
		"pad colour alone":   {byNames("--pad-colour", "1,2,3", photo), exitUsage, []string{"needs the fit pad"}},
		"resize":             {byNames("--resize", "cubic", photo), exitUsage, []string{"--resize", `"cubic"`, "bilinear-tf1"}},
		"channels":           {byNames("--channels", "RBG", photo), exitUsage, []string{"--channels", `"RBG"`}},
		"two means":          {byNames("--mean", "1,2", photo), exitUsage, []string{"--mean", "2 values"}},
		"division by std":    {byNames("--std", "1,0,1", photo), exitUsage, []string{"--std", "0"}},
		"an empty tag":       {[]string{"predict", model, "--tag", "", photo}, exitUsage, []string{"--tag is empty"}},
		"an empty input":     {[]string{"predict", model, "--input", "", photo}, exitUsage, []string{"--input is empty"}},
		"labels":             {byNames("--labels", twice, photo), exitRefused, []string{"twice"}},
	} {
		code, out, errs := command(t, c.args...)
		if code != c.code || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, errs)
		}
		for _, part := range c.says {
			if !strings.Contains(errs, part) {
				t.Errorf("%s: %q is not in %q", name, part, errs)
			}
		}
	}
}

// Wrong usage is said before the model is opened, which here would be refused.
func TestPredictBareUsageComesFirst(t *testing.T) {
	for _, wrong := range [][]string{{"--resize", "cubic"}, {"--channels", "RBG"}, {"--std", "0"}, {"--mean", "1,2"}, {"--scale", "1/0"}, {"--signature", ""}} {
		code, _, errs := command(t, append([]string{"predict", conformance + "savedmodels/reads", photo}, wrong...)...)
		if code != exitUsage || !strings.Contains(errs, wrong[0]) {
			t.Errorf("%q: exit code %d, %s", wrong, code, errs)
		}
	}
}

// Nothing of TensorFlow's is between what predict says: its results, or the one line of a refusal.
func TestPredictSavedModelKeepsStderrToItself(t *testing.T) {
	forgo := binary(t)
	for name, c := range map[string]struct {
		more []string
		says string
	}{
		"a result":  {nil, "parity NOT PROVEN: "},
		"quietly":   {[]string{"--json"}, ""},
		"a refusal": {[]string{"--image-size", "9"}, "forgo: prepare pictures: "},
	} {
		cmd := exec.CommandContext(t.Context(), forgo, byNames(append(c.more, photo)...)...)
		var errs strings.Builder
		cmd.Stderr = &errs
		_ = cmd.Run()
		lines := 1
		if c.says == "" {
			lines = 0
		}
		if got := errs.String(); !strings.HasPrefix(got, c.says) || strings.Count(got, "\n") != lines {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestPredictBareFloat16(t *testing.T) {
	row := filepath.Join(t.TempDir(), "row.json")
	if err := os.WriteFile(row, []byte("[0.1, -2]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"graphs/same-float16.onnx", "graphs/same-bfloat16.onnx", "savedmodels/same-float16"} {
		code, out, errs := command(t, "predict", "--json", conformance+model, row)
		if code != exitDone || !strings.Contains(out, ":[0.1") && !strings.Contains(out, ":[0.099975586") || !strings.Contains(out, ",-2]") && !strings.Contains(out, ",-2.0]") {
			t.Errorf("%s: exit code %d, %s%s", model, code, out, errs)
		}
	}
}

func TestPredictBareWithoutInputs(t *testing.T) {
	row := filepath.Join(t.TempDir(), "row.json")
	if err := os.WriteFile(row, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "predict", "--json", conformance+"graphs/no-inputs.onnx", row)
	if code != exitDone || !strings.Contains(out, `"y":[1,2,3]`) && !strings.Contains(out, `"y":[1.0,2.0,3.0]`) {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}

func TestPredictSaysWhatARowLacks(t *testing.T) {
	for row, want := range map[string]string{
		`{"a": [1, 2]}`: `input "b" is missing; the model takes ["a" "b"]`,
		`[1, 2]`:        `the model has 2 inputs; send an object with their names: ["a" "b"]`,
	} {
		path := filepath.Join(t.TempDir(), "row.json")
		if err := os.WriteFile(path, []byte(row), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := command(t, "predict", "--json", conformance+"graphs/two.onnx", path); code != exitRefused || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %s; want %q", row, code, errs, want)
		}
	}
}
