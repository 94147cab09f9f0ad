package bundle_test

// Whatever a manifest says, Open refuses it by its file, or what it gives keeps every rule.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/forgo-ml/forgo/internal/corpus"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/spec"
)

// files are those of the fuzzed bundle: Open does not look into them.
var files = map[string]string{
	"model.onnx": "graph", "preprocess.onnx": "pixels", "saved_model/saved_model.pb": "graph", "saved_model/variables/x": "",
	"golden/0.jpg": "picture", "golden/0.png": "decoded", "golden/0.safetensors": "tensors", "golden/1.json": "[1,2]",
}

// manifests are the beginnings of mutations: of a picture model, of one of rows in TensorFlow,
// and of one without cases.
var manifests = []string{
	`{"format":1,"name":"p","task":"classification","engine":"onnxruntime","graph":{"path":"model.onnx"},
	"inputs":[{"name":"x","graph_name":"x:0","dtype":"float32","shape":[null,8,8,3]}],
	"outputs":[{"name":"p","graph_name":"p:0","dtype":"float32","shape":[null,2]},{"name":"l","graph_name":"l:0","dtype":"float32","shape":[null,2]}],
	"labels":["a","b"],
	"picture":{"input":"x","preprocess":"preprocess.onnx","channels":3,"orientation":"applied","accept":["image/jpeg","image/png"]},
	"tolerance":{"decode":0,"preprocess":1e-5,"model":1e-4},
	"golden":{"cases":[{"id":"0","input":"golden/0.jpg","content_type":"image/jpeg","pixels":"golden/0.png","tensors":"golden/0.safetensors","label":"b","source":"s"}]},
	"provenance":{"created":"2026-11-24T00:25:09Z","command":"c","metrics":{"accuracy":1}},"files":{}}`,
	`{"format":1,"name":"r","task":"regression","engine":"tensorflow","graph":{"path":"saved_model","tags":["serve"],"signature":"serving_default"},
	"inputs":[{"name":"a","graph_name":"a","dtype":"string","shape":[null]},{"name":"b","graph_name":"b","dtype":"int64","shape":[null,null,3]}],
	"outputs":[{"name":"y","graph_name":"y","dtype":"float64","shape":[null,1]}],
	"tolerance":{"decode":0,"preprocess":0,"model":0.001},
	"golden":{"cases":[{"id":"1","input":"golden/1.json","content_type":"application/json","tensors":"golden/0.safetensors"}]},
	"provenance":{},"files":{}}`,
	`{"format":1,"name":"t","task":"tensors","engine":"onnxruntime","graph":{"path":"model.onnx"},
	"inputs":[{"name":"x","graph_name":"x","dtype":"bool","shape":[null]}],"outputs":[{"name":"y","graph_name":"y","dtype":"float16","shape":[null,0]}],
	"tolerance":{"decode":0,"preprocess":0,"model":0},"golden":{"cases":[],"none":"n"},"provenance":{},"files":{}}`,
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// FuzzManifest puts a value at one of the pointers into a manifest; pointer 0 is the whole of it. What is no
// JSON is put there as text.
func FuzzManifest(f *testing.F) {
	corpus.Add(f)
	folder := f.TempDir()
	entries := map[string]any{}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
		entries[name] = map[string]any{"sha256": digestOf([]byte(text)), "size": len(text)}
	}
	var bases []any
	var all [][]string
	for i, text := range manifests {
		var base map[string]any
		if err := json.Unmarshal([]byte(text), &base); err != nil {
			f.Fatal(err)
		}
		base["files"] = entries
		raw, err := json.Marshal(base)
		if err != nil {
			f.Fatal(err)
		}
		if b, err := openRaw(f, folder, raw); err != nil {
			f.Fatalf("manifest %d is refused as it is: %v", i, err)
		} else {
			_ = b.Close()
		}
		// Readers differ in which of two equal keys they take.
		f.Add(uint8(i), uint16(0), bytes.Replace(raw, []byte(`"graph":`), []byte(`"graph":{"path":"model.onnx","tags":[""]},"graph":`), 1))
		bases, all = append(bases, base), append(all, pointers(base, ""))
		f.Add(uint8(i), uint16(0), raw)
		for at := range all[i] {
			f.Add(uint8(i), uint16(at), []byte("null"))
		}
	}
	for _, seed := range []struct {
		base        uint8
		path, value string
	}{
		{0, "/format", "2"},
		{0, "/format", "1.0"},
		{0, "/extra", "1"},
		{0, "/graph/path", "../model.onnx"},
		{0, "/graph/path", "saved_model"},
		{1, "/graph", `{"path":"golden"}`},
		{1, "/inputs/0/shape", "[null,9223372036854775808]"},
		{1, "/outputs/0/shape/1", "1e0"},
		{0, "/files", `{"golden/../../x":{"sha256":"","size":0}}`},
		{0, "/files/model.onnx/size", "5.0"},
		{0, "/files/extra", `{}`},
		{0, "/labels", `["a","a"]`},
		{0, "/labels/1", "c"},
		{0, "/golden/cases", "[]"},
		{2, "/golden/none", "why"},
		{0, "/tolerance/model", "1e-3"},
		{0, "/golden/cases/0/id", "1"},
		{2, "/outputs/0/dtype", "float99"},
		{0, "/provenance/created", "yesterday"},
		{2, "/name", "..."},
		{0, "", `{"format":1,"format":2}`},
		{0, "", "[]"},
		{0, "", "{"},
		{0, "", ""},
	} {
		at := slices.Index(all[seed.base], seed.path)
		if at < 0 {
			f.Fatalf("manifest %d has no %s", seed.base, seed.path)
		}
		f.Add(seed.base, uint16(at), []byte(seed.value))
	}
	f.Fuzz(func(t *testing.T, base uint8, at uint16, value []byte) {
		i := int(base) % len(bases)
		raw := value
		if path := all[i][int(at)%len(all[i])]; path != "" {
			raw = edited(t, bases[i], path, value)
		}
		b, err := openRaw(t, folder, raw)
		if err != nil {
			if refusal, ok := errors.AsType[*bundle.Error](err); !ok || refusal.File == "" || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%s: refused with %T, %v", raw, err, err)
			}
			return
		}
		defer b.Close()
		keepsTheRules(t, folder, raw, b)
	})
}

// pointers lists the paths to everything in a JSON value, and to a key more in every object.
func pointers(value any, path string) []string {
	all := []string{path}
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			all = append(all, pointers(value[name], path+"/"+strings.ReplaceAll(name, "/", "~1"))...)
		}
		all = append(all, path+"/extra")
	case []any:
		for i, v := range value {
			all = append(all, pointers(v, path+"/"+strconv.Itoa(i))...)
		}
	}
	return all
}

// openRaw opens the bundle with another manifest, whose own digest is right.
func openRaw(tb testing.TB, folder string, raw []byte) (*bundle.Bundle, error) {
	tb.Helper()
	for name, data := range map[string][]byte{"forgo.json": raw, "forgo.sha256": []byte(digestOf(raw) + "  forgo.json\n")} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return bundle.Open(folder)
}

// edited returns a manifest with a value put at a path.
func edited(t *testing.T, base any, path string, value []byte) []byte {
	t.Helper()
	if !json.Valid(value) {
		value, _ = json.Marshal(string(value)) // of which nothing fails
	}
	raw, err := json.Marshal(put(base, strings.Split(path[1:], "/"), value))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func put(at any, path []string, value json.RawMessage) any {
	if len(path) == 0 {
		return value
	}
	switch at := at.(type) {
	case map[string]any:
		key := strings.ReplaceAll(path[0], "~1", "/")
		changed := maps.Clone(at)
		changed[key] = put(at[key], path[1:], value)
		return changed
	case []any:
		i, _ := strconv.Atoi(path[0]) // which pointers has written
		changed := slices.Clone(at)
		changed[i] = put(at[i], path[1:], value)
		return changed
	}
	return at
}

var schema = func() *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(spec.ManifestSchema))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("manifest.json", doc); err != nil {
		panic(err)
	}
	return c.MustCompile("manifest.json")
}()

func conforms(t *testing.T, what string, raw []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err == nil {
		err = schema.Validate(doc)
	}
	if err != nil {
		t.Errorf("%s was opened, and breaks the schema: %v\n%s", what, err, raw)
	}
}

// keepsTheRules holds an opened bundle to spec/bundle.md, told here once more: what was read is
// what the schema saw, every file is the one that the manifest means, and its parts agree.
func keepsTheRules(t *testing.T, folder string, raw []byte, b *bundle.Bundle) {
	t.Helper()
	m := b.Manifest
	again, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	conforms(t, "a manifest", raw)
	conforms(t, "what was read of it", again)
	for name, want := range m.Files {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if !fs.ValidPath(name) || err != nil || digestOf(data) != want.SHA256 || int64(len(data)) != want.Size {
			t.Errorf("file %q: %v", name, err)
		}
	}
	named := []string{}
	inside := m.Graph.Path + "/"
	if !slices.ContainsFunc(slices.Collect(maps.Keys(m.Files)), func(file string) bool { return strings.HasPrefix(file, inside) }) {
		named = append(named, m.Graph.Path)
	}
	if m.Picture != nil {
		named = append(named, m.Picture.Preprocess)
	}
	ids, ends := map[string]bool{}, map[string]bool{}
	for _, c := range m.Golden.Cases {
		named = append(named, c.Input, c.Tensors)
		if c.Pixels != "" || m.Picture != nil {
			named = append(named, c.Pixels)
		}
		ids[c.ID] = true
		if m.Task == bundle.Classification && !slices.Contains(m.Labels, c.Label) {
			t.Errorf("case %s has the label %q", c.ID, c.Label)
		}
	}
	for _, name := range named {
		if _, ok := m.Files[name]; !ok {
			t.Errorf("%q is named and not listed", name)
		}
	}
	for _, e := range slices.Concat(m.Inputs, m.Outputs) {
		ends[e.Name] = true
		if e.Spec().Shape[0] != -1 {
			t.Errorf("%q has a fixed batch", e.Name)
		}
	}
	if len(ids) != len(m.Golden.Cases) || len(ends) != len(m.Inputs)+len(m.Outputs) {
		t.Error("a case's id, or a tensor's name, is there twice")
	}
	if (len(m.Golden.Cases) == 0) != (m.Golden.None != "") {
		t.Error("cases, and the reason why there are none")
	}
	if b.Digest != digestOf(raw) {
		t.Error("the digest is not the manifest's")
	}
}
