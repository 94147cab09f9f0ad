package bundle_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
)

var committed = []string{"../../conformance/bundles/shapes.forgo", "../../conformance/bundles/iris.forgo"}

// Bundles of format 1 that were committed with it load in every later version.
func TestOpenCommittedFormat1(t *testing.T) {
	for _, path := range committed {
		b, err := bundle.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.Manifest.Format != 1 || len(b.Manifest.Golden.Cases) < 16 || len(b.Digest) != 64 {
			t.Errorf("%s: format %d, %d cases, digest %q", path, b.Manifest.Format, len(b.Manifest.Golden.Cases), b.Digest)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Each file in turn is changed by one bit, made longer, made shorter, and taken away; the
// refusal names it. What is for people may be taken away.
func TestOpenRefusesAnyChangedFile(t *testing.T) {
	for _, path := range committed {
		var files []string
		err := fs.WalkDir(os.DirFS(path), ".", func(name string, d fs.DirEntry, err error) error {
			if !d.IsDir() {
				files = append(files, name)
			}
			return err
		})
		if err != nil || len(files) < 20 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		folder := bundletest.Copy(t, path)
		for _, file := range files {
			whole, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Fatal(err)
			}
			flipped := append([]byte{}, whole...)
			flipped[len(flipped)/2] ^= 1
			for how, changed := range map[string][]byte{"flipped": flipped, "longer": append(whole[:len(whole):len(whole)], '\n'), "shorter": whole[:len(whole)-1]} {
				bundletest.Write(t, folder, file, changed)
				refused(t, folder, file+" "+how, file)
			}
			if err := os.Remove(filepath.Join(folder, file)); err != nil {
				t.Fatal(err)
			}
			if file == "report.html" || file == "card.md" {
				b, err := bundle.Open(folder)
				if err != nil {
					t.Errorf("%s taken away: %v", file, err)
				} else {
					_ = b.Close()
				}
			} else {
				refused(t, folder, file+" missing", file)
			}
			bundletest.Write(t, folder, file, whole)
		}
		if b, err := bundle.Open(folder); err != nil {
			t.Errorf("the copy as it was: %v", err)
		} else {
			_ = b.Close()
		}
	}
}

// refused opens a bundle and wants an error that names what it should.
func refused(t *testing.T, path, what, names string) {
	t.Helper()
	b, err := bundle.Open(path)
	if err == nil {
		_ = b.Close()
		t.Errorf("%s: the bundle was opened", what)
		return
	}
	if !strings.Contains(err.Error(), names) {
		t.Errorf("%s: the error does not name %q: %v", what, names, err)
	}
	var refusal *bundle.Error
	if !errors.As(err, &refusal) {
		t.Errorf("%s: the error is a %T", what, err)
	}
}

func TestOpenRefusesBrokenRules(t *testing.T) {
	type m = map[string]any
	first := func(manifest m, list string) m { return manifest[list].([]any)[0].(m) }
	for name, c := range map[string]struct {
		change func(m)
		names  string
	}{
		"unknown format":          {func(x m) { x["format"] = 2 }, "format 2"},
		"no format":               {func(x m) { delete(x, "format") }, "format none"},
		"unknown key":             {func(x m) { x["extra"] = 1 }, "extra"},
		"unknown task":            {func(x m) { x["task"] = "guessing" }, "/task"},
		"loose tolerance":         {func(x m) { x["tolerance"].(m)["model"] = 0.01 }, "/tolerance/model"},
		"decode tolerance":        {func(x m) { x["tolerance"].(m)["decode"] = 3 }, "/tolerance/decode"},
		"no labels":               {func(x m) { delete(x, "labels") }, "labels"},
		"too few labels":          {func(x m) { x["labels"] = x["labels"].([]any)[:2] }, "each of the 2 labels"},
		"label twice":             {func(x m) { x["labels"] = []any{"a", "a", "b"} }, "/labels"},
		"no goldens":              {func(x m) { x["golden"] = m{"cases": []any{}} }, "/golden"},
		"goldens and none":        {func(x m) { x["golden"].(m)["none"] = "because" }, "/golden"},
		"path up":                 {func(x m) { x["graph"].(m)["path"] = "../model.onnx" }, "/graph/path"},
		"path absolute":           {func(x m) { x["graph"].(m)["path"] = "/etc/passwd" }, "/graph/path"},
		"path inside out":         {func(x m) { x["files"].(m)["golden/../../x"] = m{"sha256": strings.Repeat("0", 64), "size": 0} }, "golden/../../x"},
		"graph not listed":        {func(x m) { x["graph"].(m)["path"] = "other.onnx" }, "other.onnx"},
		"preprocess not listed":   {func(x m) { x["picture"].(m)["preprocess"] = "other.onnx" }, "other.onnx"},
		"case file not listed":    {func(x m) { first(x["golden"].(m), "cases")["input"] = "golden/999.jpg" }, "golden/999.jpg"},
		"case twice":              {func(x m) { first(x["golden"].(m), "cases")["id"] = "001" }, `"001"`},
		"case without pixels":     {func(x m) { delete(first(x["golden"].(m), "cases"), "pixels") }, "no pixels"},
		"case of unknown label":   {func(x m) { first(x["golden"].(m), "cases")["label"] = "mauve" }, "mauve"},
		"case of rows":            {func(x m) { first(x["golden"].(m), "cases")["content_type"] = "application/json" }, "application/json"},
		"fixed batch":             {func(x m) { first(x, "outputs")["shape"] = []any{1, 3} }, "/outputs/0/shape"},
		"integer probabilities":   {func(x m) { first(x, "outputs")["dtype"] = "int64" }, "/outputs/0/dtype"},
		"name twice":              {func(x m) { first(x, "outputs")["name"] = "pixels" }, `"pixels"`},
		"picture's input unknown": {func(x m) { x["picture"].(m)["input"] = "other" }, `"other"`},
		"name that walks":         {func(x m) { x["name"] = "../up" }, "/name"},
	} {
		t.Run(name, func(t *testing.T) {
			path := bundletest.Copy(t, committed[0])
			bundletest.Edit(t, path, c.change)
			refused(t, path, name, c.names)
		})
	}
}

// Of two equal keys the last is checked, and so it is the one that is read.
func TestOpenReadsWhatItChecked(t *testing.T) {
	path := bundletest.Copy(t, committed[0])
	raw, err := os.ReadFile(filepath.Join(path, "forgo.json"))
	if err != nil {
		t.Fatal(err)
	}
	twice := strings.Replace(string(raw), `"graph":`, `"graph": {"path": "x", "tags": ["", ""]}, "graph":`, 1)
	bundletest.Write(t, path, "forgo.json", []byte(twice))
	sum := sha256.Sum256([]byte(twice))
	bundletest.Write(t, path, "forgo.sha256", []byte(hex.EncodeToString(sum[:])+"  forgo.json\n"))
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Manifest.Graph.Path != "model.onnx" || b.Manifest.Graph.Tags != nil {
		t.Errorf("read %+v", b.Manifest.Graph)
	}
}

func TestOpenRefusesLinksOutOfTheFolder(t *testing.T) {
	path := bundletest.Copy(t, committed[0])
	model := filepath.Join(path, "model.onnx")
	outside := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.Rename(model, outside); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, model); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "link out", "model.onnx")
}

func TestOpenRefusesWhatIsNoBundle(t *testing.T) {
	dir := t.TempDir()
	refused(t, dir, "empty folder", "no forgo.json")
	refused(t, filepath.Join(dir, "nothing"), "missing folder", "nothing")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, file, "file", "folder")
	for name, manifest := range map[string]string{"not JSON": "{", "a list": "[]", "empty": ""} {
		path := bundletest.Copy(t, committed[1])
		bundletest.Write(t, path, "forgo.json", []byte(manifest))
		refused(t, path, name, "forgo.json")
	}
}

func TestReadFileChecksWhatItReturns(t *testing.T) {
	path := bundletest.Copy(t, committed[1])
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.ReadFile("model.onnx"); err != nil {
		t.Error(err)
	}
	data, _ := os.ReadFile(filepath.Join(path, "model.onnx"))
	data[10] ^= 1
	bundletest.Write(t, path, "model.onnx", data)
	if _, err := b.ReadFile("model.onnx"); err == nil || !strings.Contains(err.Error(), "model.onnx") {
		t.Errorf("a file changed after Open: %v", err)
	}
	if _, err := b.ReadFile("../../etc/passwd"); err == nil {
		t.Error("a file that the manifest does not list was read")
	}
}
