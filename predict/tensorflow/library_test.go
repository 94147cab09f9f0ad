package tensorflow

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A process loads one TensorFlow, so find is tested, not Engine.

func TestFindOrder(t *testing.T) {
	t.Setenv(EnvLibrary, "/from/the/environment.so")
	if _, err := find("/from/the/option.so"); err == nil || !strings.Contains(err.Error(), "/from/the/option.so") || strings.Contains(err.Error(), "environment") {
		t.Errorf("with an option: %v", err)
	}
	if _, err := find(""); err == nil || !strings.Contains(err.Error(), "/from/the/environment.so") || !strings.Contains(err.Error(), EnvLibrary) {
		t.Errorf("with the environment variable: %v", err)
	}
}

func TestFindSaysWhatToInstall(t *testing.T) {
	t.Setenv(EnvLibrary, "")
	for _, name := range []string{"FORGO_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX"} {
		t.Setenv(name, "/nowhere/"+name)
	}
	t.Setenv("PATH", "")
	t.Setenv("HOME", "/nowhere/home")
	_, err := find("")
	if err == nil {
		t.Skip("a TensorFlow is installed on the system itself")
	}
	for _, part := range []string{"pip install tensorflow-cpu", EnvLibrary, "/nowhere/VIRTUAL_ENV/lib/python3*/site-packages/tensorflow", "/usr/local/lib", "libtensorflow_cc"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %s: %v", part, err)
		}
	}
}

func TestFindRefusesOtherLibraries(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ code, says string }{
		"other": {"int other(void) { return 1; }", "not TensorFlow"},
		"old":   {`const char *TF_Version(void) { return "1.4.0"; }`, "newer TensorFlow"},
	} {
		source, library := filepath.Join(dir, name+".c"), filepath.Join(dir, name+".so")
		if err := os.WriteFile(source, []byte(c.code), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
			t.Fatalf("cc: %v\n%s", err, out)
		}
		for _, path := range []string{library, source} {
			_, err := find(path)
			if err == nil || !strings.Contains(err.Error(), path) || (path == library && !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%s: got %v, want %q", path, err, c.says)
			}
		}
	}
}
