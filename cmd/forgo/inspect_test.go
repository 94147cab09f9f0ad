package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/engines"
)

const conformance = "../../conformance/"

// command runs forgo and returns what it printed.
func command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func inspected(t *testing.T, path string) inspection {
	t.Helper()
	code, out, errs := command(t, "inspect", "--json", path)
	if code != exitDone {
		t.Fatalf("inspect %s: %s", path, errs)
	}
	var i inspection
	if err := json.Unmarshal([]byte(out), &i); err != nil {
		t.Fatal(err)
	}
	if i.Path != path || i.Size == 0 || len(i.Operations) == 0 && len(i.Graphs) < 2 {
		t.Errorf("inspect %s: path %q, size %d, operations %v", path, i.Path, i.Size, i.Operations)
	}
	return i
}

func sameTensor(t *testing.T, got []engines.TensorInfo, name, dtype string, shape ...int64) {
	t.Helper()
	for _, e := range got {
		if e.Name == name {
			want, _ := json.Marshal(shape)
			if have, _ := json.Marshal(e.Shape); string(e.DType) != dtype || string(have) != string(want) {
				t.Errorf("%s is %s%s, want %s%s", name, e.DType, have, dtype, want)
			}
			return
		}
	}
	t.Errorf("there is no %s among %v", name, got)
}

func TestInspectSavedModels(t *testing.T) {
	old := inspected(t, conformance+"savedmodels/forGo")
	if g := old.Graphs[0]; old.Kind != "savedmodel" || len(old.Graphs) != 1 || len(g.Signatures) != 0 || strings.Join(g.Tags, ",") != "tags" {
		t.Errorf("forGo: %+v", old)
	}
	// Without a signature: placeholders, and operations that nothing consumes.
	if g := old.Graphs[0]; len(g.Placeholders) != 1 || len(g.Unconsumed) != 1 {
		t.Errorf("forGo: placeholders %v, unconsumed %v", g.Placeholders, g.Unconsumed)
	}
	sameTensor(t, old.Graphs[0].Placeholders, "input_1", "float32", -1, 8, 8, 3)
	sameTensor(t, old.Graphs[0].Unconsumed, "inferenceLayer/Softmax", "float32", -1, 2)
	sameTensor(t, old.Inputs, "input_1", "float32", -1, 8, 8, 3)
	if n := old.Operations["Conv2D"]; n != 1 {
		t.Errorf("forGo: %d Conv2D", n)
	}

	text := inspected(t, conformance+"savedmodels/text")
	sameTensor(t, text.Inputs, "words", "string", -1, 2)
	sameTensor(t, text.Outputs, "number", "int64", -1, 2)
	if s := text.Graphs[0].Signatures[0]; s.Name != "serving_default" || s.Inputs[0].GraphName != "serving_default_words:0" {
		t.Errorf("text: %+v", s)
	}
	if n := text.Operations["LookupTableFindV2"]; n != 1 {
		t.Errorf("text: %d LookupTableFindV2: bodies of functions count", n)
	}

	several := inspected(t, conformance+"savedmodels/several")
	if len(several.Graphs) != 2 || len(several.Graphs[0].Signatures) != 2 || strings.Join(several.Graphs[1].Tags, ",") != "serve,tpu" {
		t.Errorf("several: %+v", several.Graphs)
	}
}

func TestInspectText(t *testing.T) {
	for path, lines := range map[string][]string{
		"savedmodels/forGo":  {"tags tags", "placeholder", "input_1  float32 [*, 8, 8, 3]", "inferenceLayer/Softmax  float32 [*, 2]", "Softmax 1"},
		"savedmodels/keras":  {"serving_default", "measurements  float32 [*, 4]", "output_0  float32 [*, 3]", "MatMul 2"},
		"graphs/two.onnx":    {"difference  float32 [*, 2]", "Sub 1"},
		"bundles/iris.forgo": {"setosa, versicolor, virginica", "probabilities  float32 [*, 3]"},
	} {
		code, out, errs := command(t, "inspect", conformance+path)
		if code != exitDone {
			t.Errorf("%s: %s", path, errs)
		}
		for _, line := range lines {
			if !strings.Contains(out, line) {
				t.Errorf("%s: %q is not in\n%s", path, line, out)
			}
		}
	}
}

func TestInspectRefusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	archive := func(name string, members map[string]string) string {
		var made bytes.Buffer
		w := zip.NewWriter(&made)
		for member, text := range members {
			f, err := w.Create(member)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.Write([]byte(text))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return write(name, made.Bytes())
	}
	for path, says := range map[string]string{
		filepath.Join(dir, "nowhere"): "no such file",
		dir:                           "no saved_model.pb",
		write("empty", nil):           "not a complete ONNX model",
		write("old.h5", []byte("\x89HDF\r\n\x1a\nrest")):                                        "forgo export",
		write("cut.keras", []byte("PK\x03\x04rest")):                                            "not a complete .keras file",
		write("text.keras", []byte("version https://git-lfs")):                                  "not a .keras file",
		write("text.H5", []byte("text")):                                                        "not an HDF5 file",
		archive("other.zip", map[string]string{"a": "b"}):                                       "no metadata.json",
		archive("half.keras", map[string]string{"metadata.json": "{}", "config.json": "{"}):     "config.json",
		archive("list.keras", map[string]string{"metadata.json": "{}", "config.json": "[1]"}):   "config.json",
		filepath.Join(conformance, "savedmodels/forGo/saved_model.pb"):                          "name its folder",
		filepath.Join(conformance, "savedmodels/forGo/variables/variables.data-00000-of-00001"): "not a complete ONNX model",
	} {
		code, out, errs := command(t, "inspect", path)
		if code != exitRefused || out != "" || !strings.Contains(errs, says) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, want %q", path, code, errs, says)
		}
	}
}
