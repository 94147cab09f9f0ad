package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInspectCheckAcceptsWhatPredictLoads(t *testing.T) {
	t.Setenv("FORGO_TENSORFLOW", "/nowhere") // none is needed
	byNames := []string{"--tag", "tags", "--input", "input_1", "--output", "inferenceLayer/Softmax"}
	for model, args := range map[string][]string{
		"forGo":   byNames,
		"keras":   nil,
		"iris":    {"--tag", "serve", "--signature", "serving_default"},
		"text":    {"--output", "number"},
		"text-v1": nil,
		"several": {"--tag", "tpu,serve", "--input", "a,b", "--output", "add"},
	} {
		path := conformance + "savedmodels/" + model
		for _, form := range [][]string{{"inspect", path}, {"inspect", "--json", path}} {
			_, want, _ := command(t, form...)
			code, out, errs := command(t, append(append(form, "--check"), args...)...)
			if code != exitDone || out != want || errs != "" {
				t.Errorf("%s: exit code %d, %q, %s", model, code, errs, out)
			}
		}
	}
}

func TestInspectCheckRefusesWhatPredictRefuses(t *testing.T) {
	without := t.TempDir()
	if err := os.CopyFS(without, os.DirFS(conformance+"savedmodels/keras")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(without, "variables")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string // the model first
		says []string
	}{
		"writes where it prints":    {[]string{conformance + "savedmodels/prints"}, []string{"PrintV2", "file:///", "refused"}},
		"a table outside":           {[]string{conformance + "savedmodels/table-outside"}, []string{"at load", "InitializeTableFromTextFileV2", "refused"}},
		"reads":                     {[]string{conformance + "savedmodels/reads"}, []string{`output "content"`, "ReadFile", "refused"}},
		"writes at load":            {[]string{conformance + "savedmodels/writes-at-load"}, []string{"at load", "WriteFile", "refused"}},
		"swapped by the optimizer":  {[]string{conformance + "hostile/swapped"}, []string{"WriteFile", "refused"}},
		"a constant in a file":      {[]string{conformance + "hostile/leaks"}, []string{`output "y"`, "ImmutableConst", "refused"}},
		"ends the process":          {[]string{conformance + "hostile/aborts"}, []string{`output "y"`, "Abort", "refused"}},
		"an ONNX file's data":       {[]string{conformance + "graphs/external-data.onnx"}, []string{"../secret.bin"}},
		"an asset outside":          {[]string{conformance + "savedmodels/asset-outside"}, []string{"../../x.t", "outside its folder"}},
		"restores what is asked":    {[]string{conformance + "savedmodels/keras", "--output", "save/RestoreV2"}, []string{"save/RestoreV2"}},
		"wrong tag":                 {[]string{conformance + "savedmodels/forGo", "--tag", "serve"}, []string{"[serve]", "[tags]"}},
		"wrong signature":           {[]string{conformance + "savedmodels/keras", "--signature", "other"}, []string{`"other"`, "serving_default"}},
		"wrong input":               {[]string{conformance + "savedmodels/forGo", "--input", "input_2", "--output", "inferenceLayer/Softmax"}, []string{"input_2", "input_1"}},
		"wrong output":              {[]string{conformance + "savedmodels/forGo", "--input", "input_1", "--output", "softmax"}, []string{"softmax", "inferenceLayer/Softmax"}},
		"no names":                  {[]string{conformance + "savedmodels/forGo"}, []string{"no signature", "input_1"}},
		"a choice that is not made": {[]string{conformance + "savedmodels/several"}, []string{"2 graphs"}},
		"an ONNX file's outputs":    {[]string{conformance + "graphs/zipmap.onnx"}, []string{"ZipMap", "label"}},
		"an output of none":         {[]string{conformance + "graphs/two.onnx", "--output", "product"}, []string{"product", "sum, difference"}},
		"no variables":              {[]string{without}, []string{"variables/ is missing"}},
	} {
		code, out, errs := command(t, append([]string{"inspect", "--check", "--json"}, c.args...)...)
		if code != exitRefused || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, errs)
		}
		for _, part := range c.says {
			if !strings.Contains(errs, part) {
				t.Errorf("%s: %q is not in %q", name, part, errs)
			}
		}
	}
}

func TestInspectCheckWrongUsage(t *testing.T) {
	model := conformance + "savedmodels/forGo"
	keras := filepath.Join(t.TempDir(), "a.keras")
	if err := os.WriteFile(keras, []byte("PK\x03\x04rest"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--tag needs --check":    {model, "--tag", "tags"},
		"--output needs --check": {model, "--output", "inferenceLayer/Softmax"},
		"--tag is empty":         {model, "--check", "--tag", ""},
		"--signature is empty":   {model, "--check", "--signature", ""},
		"--check is for SavedModels and ONNX files, and " + iris:  {iris, "--check"},
		"--check is for SavedModels and ONNX files, and " + keras: {keras, "--check"},
	} {
		code, out, errs := command(t, append([]string{"inspect"}, args...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: exit code %d, %q, want %q", args, code, errs, want)
		}
	}
}

// Variables that are meant for predict change nothing here.
func TestInspectCheckIsOfTheCommandLineAlone(t *testing.T) {
	t.Setenv("FORGO_CHECK", "true")
	t.Setenv("FORGO_TAG", "other")
	if code, _, errs := command(t, "inspect", conformance+"savedmodels/keras"); code != exitDone {
		t.Error(errs)
	}
	if code, _, errs := command(t, "inspect", "--check", conformance+"savedmodels/keras"); code != exitDone {
		t.Error(errs)
	}
}
