package onnx

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A process loads one ONNX Runtime, so find is tested, not Engine.

func TestFindOrder(t *testing.T) {
	t.Setenv(EnvLibrary, "/from/the/environment.so")
	if _, err := find("/from/the/option.so"); err == nil || !strings.Contains(err.Error(), "/from/the/option.so") || strings.Contains(err.Error(), "environment") {
		t.Errorf("with an option: %v", err)
	}
	if _, err := find(""); err == nil || !strings.Contains(err.Error(), "/from/the/environment.so") || !strings.Contains(err.Error(), EnvLibrary) {
		t.Errorf("with the environment variable: %v", err)
	}
}

func TestFindNamesEveryPath(t *testing.T) {
	t.Setenv(EnvLibrary, "")
	for _, name := range []string{"FORGO_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX"} {
		t.Setenv(name, "/nowhere/"+name)
	}
	t.Setenv("PATH", "")
	t.Setenv("HOME", "/nowhere/home")
	_, err := find("")
	if err == nil {
		t.Skip("an ONNX Runtime is installed on the system itself")
	}
	exe, _ := os.Executable()
	for _, path := range []string{filepath.Dir(exe), "/nowhere/FORGO_PYTHON", "/nowhere/VIRTUAL_ENV", "/nowhere/home/.local", "/usr/local/lib", EnvLibrary, "libonnxruntime.so, 1.24 or newer", "beside the binary"} {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name %s: %v", path, err)
		}
	}
}

func TestFindNamesBothVersions(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "old.c")
	const code = `
static const char *version(void) { return "1.17.3"; }
static const void *api(unsigned int v) { return 0; }
static struct { const void *(*a)(unsigned int); const char *(*b)(void); } base = {api, version};
void *OrtGetApiBase(void) { return &base; }
`
	if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(dir, "libonnxruntime.so")
	needsCompiler(t)
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	_, err := find(library)
	if err == nil || !strings.Contains(err.Error(), "1.17.3") || !strings.Contains(err.Error(), "1.24") {
		t.Errorf("got %v, want both versions named", err)
	}
	if _, err := find(source); err == nil || !strings.Contains(err.Error(), source) {
		t.Errorf("a file that is no library: %v", err)
	}
}

// needsCompiler skips tests of libraries that are made for them: forgo itself is built without C.
func needsCompiler(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("there is no C compiler")
	}
}
