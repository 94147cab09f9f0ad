package main

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const packable = "../../conformance/bundles/shapes.forgo"

// says runs a program and returns what it prints, and whether it succeeds.
func says(t *testing.T, program string, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// A packed program answers as the bundle does, wherever it is, and says so when it is damaged.
func TestPack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("scripts/go.sh is a shell's")
	}
	forgo := binary(t)
	folder := t.TempDir()
	app := filepath.Join(folder, "app")
	if out, ok := says(t, forgo, "pack", packable, "-o", app); !ok || !strings.Contains(out, "parity proven: 16 of 16 cases") {
		t.Fatal(out)
	}
	picture, err := filepath.Abs(filepath.Join(packable, "golden", "000.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"verify", "--engine", "pure"}, "parity proven: 16 of 16 cases"},
		{[]string{"verify", "--engine", "onnxruntime"}, "parity proven: 16 of 16 cases"}, // onnx by its whole name
		{[]string{"verify", "--json"}, `"ok":true`},
		{[]string{"inspect"}, "pure Go"},
		{[]string{"bench", "--time", "10ms"}, "answers/s"},
		{[]string{"predict", "--engine", "pure", picture}, "red"},
		{[]string{"--print-config"}, "shapes.forgo"}, // which serve knows
		{[]string{"version"}, "forgo "},
	} {
		if out, ok := says(t, app, c.args...); !ok || !strings.Contains(out, c.want) {
			t.Errorf("app %v: %s", c.args, out)
		}
	}
	if out, ok := says(t, forgo, "pack", packable, "-o", app); ok || !strings.Contains(out, "already exists; --force replaces it") {
		t.Errorf("packed over it: %s", out)
	}
	again := filepath.Join(folder, "again")
	if out, ok := says(t, app, "pack", "-o", again); !ok {
		t.Error(out)
	}
	first, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("packed by itself it has %d bytes, not the %d it had; %v", len(second), len(first), err)
	}
	if out, ok := says(t, forgo, "pack", packable, "-o", app, "--force"); !ok {
		t.Error(out)
	}
	damaged := filepath.Join(folder, "damaged")
	for name, data := range map[string][]byte{
		"a byte changed": append(append(bytes.Clone(first[:len(first)-5000]), first[len(first)-5000]^1), first[len(first)-4999:]...),
		"cut short":      first[:len(first)-1],
	} {
		if err := os.WriteFile(damaged, data, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, ok := says(t, damaged, "verify"); ok || !strings.Contains(out, "is damaged") {
			t.Errorf("%s: %s", name, out)
		}
	}
	holdsLicences(t, app)
	left, err := filepath.Glob(filepath.Join(folder, ".forgo-pack-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// holdsLicences checks that a packed program, which any zip reader opens, has the licences and the bill of materials of
// each module that it was built from.
func holdsLicences(t *testing.T, app string) {
	t.Helper()
	inside, err := zip.OpenReader(app)
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	files := map[string][]byte{}
	for _, name := range []string{"NOTICES", "LICENSE", "sbom.cdx.json"} {
		if files[name], err = fs.ReadFile(inside, name); err != nil {
			t.Fatal(err)
		}
	}
	built, err := buildinfo.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(files["sbom.cdx.json"], &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Errorf("%v: %s", err, files["sbom.cdx.json"])
	}
	listed := map[string]bool{}
	for _, c := range bom.Components {
		listed[c.Name+" "+c.Version] = c.PURL == "pkg:golang/"+c.Name+"@"+c.Version
	}
	for _, m := range built.Deps {
		if line := "\n" + m.Path + " " + m.Version + "\n"; !bytes.Contains(files["NOTICES"], []byte(line)) {
			t.Errorf("NOTICES has no licence of %s %s: make notices", m.Path, m.Version)
		}
		if !listed[m.Path+" "+m.Version] {
			t.Errorf("the bill of materials does not list %s %s", m.Path, m.Version)
		}
	}
	if !listed["std "+strings.TrimPrefix(built.GoVersion, "go")] || len(listed) != len(built.Deps)+1 {
		t.Errorf("the bill of materials lists %v", listed)
	}
	if len(built.Deps) == 0 || !bytes.Contains(files["NOTICES"], []byte("\nlibjpeg-turbo\n")) {
		t.Errorf("%d modules, and NOTICES of %d bytes", len(built.Deps), len(files["NOTICES"]))
	}
	if want, err := os.ReadFile("../../LICENSE"); err != nil || !bytes.Equal(files["LICENSE"], want) {
		t.Errorf("%v: LICENSE has %d bytes", err, len(files["LICENSE"]))
	}
}

// A folder has the library beside the program.
func TestPackFolder(t *testing.T) {
	forgo := binary(t)
	if out, ok := says(t, forgo, "pack", packable, "--dir", t.TempDir(), "-o", "app"); ok || !strings.Contains(out, "give -o APP, or --dir DIR") {
		t.Error(out)
	}
	folder := filepath.Join(t.TempDir(), "folder")
	if out, ok := says(t, forgo, "pack", packable, "--dir", folder); !ok {
		t.Fatal(out)
	}
	if out, ok := says(t, filepath.Join(folder, "shapes"), "verify"); !ok {
		t.Error(out)
	}
	holdsLicences(t, filepath.Join(folder, "shapes"))
}
