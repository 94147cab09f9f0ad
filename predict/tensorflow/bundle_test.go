package tensorflow_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// irisBundle is bundles/iris.forgo with its network as a SavedModel.
func irisBundle(t *testing.T, change func(manifest map[string]any)) string {
	t.Helper()
	folder := bundletest.Copy(t, "../../conformance/bundles/iris.forgo")
	if err := os.Remove(filepath.Join(folder, "model.onnx")); err != nil {
		t.Fatal(err)
	}
	model := os.DirFS(filepath.Join(models, "iris"))
	var files []string
	err := fs.WalkDir(model, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(model, path)
		files = append(files, "saved_model/"+path)
		bundletest.Write(t, folder, files[len(files)-1], data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	bundletest.Edit(t, folder, func(manifest map[string]any) {
		manifest["engine"] = "tensorflow"
		manifest["graph"] = map[string]any{"path": "saved_model", "tags": []string{"serve"}, "signature": "serving_default"}
		listed := manifest["files"].(map[string]any)
		delete(listed, "model.onnx")
		for _, file := range files {
			listed[file] = map[string]any{}
		}
		if change != nil {
			change(manifest)
		}
	})
	return folder
}

func TestBundleOfSavedModel(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for name, change := range map[string]func(map[string]any){
		"by signature": nil,
		"by operations": func(m map[string]any) {
			delete(m["graph"].(map[string]any), "signature")
			first(m, "inputs")["graph_name"] = "rows"
			first(m, "outputs")["graph_name"] = "softmax:0"
		},
	} {
		m, err := predict.Load(t.Context(), irisBundle(t, change), tensorflow.Engine())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p := m.Parity(); p.Mode != "full" || p.Cases == 0 || p.LargestDifference > 1e-5 {
			t.Errorf("%s: %v", name, p)
		}
		classes, err := m.Classify(t.Context(), []byte("[5.1, 3.5, 1.4, 0.2]"))
		if err != nil || classes[0].Label != "setosa" {
			t.Errorf("%s: classes %v, %v", name, classes, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("copies of the graph were left behind: %v", left)
	}
}

func TestBundleOfSavedModelRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(manifest map[string]any)
		says   []string
	}{
		"wrong tags":     {func(m map[string]any) { m["graph"].(map[string]any)["tags"] = []string{"tags"} }, []string{"saved_model", "[tags]", "[serve]"}},
		"no tags":        {func(m map[string]any) { delete(m["graph"].(map[string]any), "tags") }, []string{"forgo.json", "tags"}},
		"no signature":   {func(m map[string]any) { m["graph"].(map[string]any)["signature"] = "other" }, []string{"saved_model", `"other"`, "serving_default"}},
		"no such output": {func(m map[string]any) { first(m, "outputs")["graph_name"] = "scores" }, []string{"saved_model", `"scores"`, "probabilities"}},
		"swapped outputs of one shape": {func(m map[string]any) {
			outputs := m["outputs"].([]any)
			outputs[0].(map[string]any)["graph_name"], outputs[1].(map[string]any)["graph_name"] = "logits", "probabilities"
		}, []string{"stage model"}},
		"variables not listed": {func(m map[string]any) {
			files := m["files"].(map[string]any)
			for name := range files {
				if strings.Contains(name, "variables.data") {
					delete(files, name)
				}
			}
		}, []string{"saved_model", "variables.data-00000-of-00001 is missing"}},
	} {
		_, err := predict.Load(t.Context(), irisBundle(t, c.change), tensorflow.Engine())
		if err == nil || slices.ContainsFunc(c.says, func(part string) bool { return !strings.Contains(err.Error(), part) }) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
	changed := irisBundle(t, nil)
	data, err := os.ReadFile(filepath.Join(changed, "saved_model/variables/variables.data-00000-of-00001"))
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	bundletest.Write(t, changed, "saved_model/variables/variables.data-00000-of-00001", data)
	if _, err := predict.Load(t.Context(), changed, tensorflow.Engine()); err == nil || !strings.Contains(err.Error(), "saved_model/variables/variables.data-00000-of-00001: its content changed") {
		t.Errorf("a changed variable: %v", err)
	}
}

func first(manifest map[string]any, key string) map[string]any {
	return manifest[key].([]any)[0].(map[string]any)
}
