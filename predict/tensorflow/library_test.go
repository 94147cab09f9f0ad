package tensorflow

import (
	"bytes"
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
		needsCompiler(t)
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

// What a library writes as it is opened is as TensorFlow's: the lines that nobody asked for, and
// others, which must not be lost, also where it ends the process.
func TestOpeningKeepsTwoLinesOffStderr(t *testing.T) {
	const asked, own = "FORGO_TEST_OPENS", "own line\n"
	if path := os.Getenv(asked); path != "" {
		for range 2 {
			_, _ = find(path)
		}
		_, _ = os.Stderr.WriteString(own)
		os.Exit(0)
	}
	const (
		first  = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
		second = "I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on. You may see\n"
		others = "E0000 00:00:1.2 3 a.cc:1] something is wrong\nno end"
	)
	build := func(last string) string {
		dir := t.TempDir()
		source, library := filepath.Join(dir, "a.c"), filepath.Join(dir, "a.so")
		code := "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((constructor)) static void start(void) {"
		for _, text := range []string{first, second, others} {
			code += "fputs(\"" + strings.ReplaceAll(text, "\n", "\\n") + "\", stderr);"
		}
		if err := os.WriteFile(source, []byte(code+last+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		needsCompiler(t)
		if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
			t.Fatalf("cc: %v\n%s", err, out)
		}
		return library
	}
	harmless := build("")
	for name, c := range map[string]struct {
		library  string
		variable string
		prefix   string // of what is on stderr
		suffix   string
	}{
		"left alone":           {harmless, "", others, others + own},
		"errors are asked for": {harmless, "TF_CPP_MIN_LOG_LEVEL=2", others, others + own},
		"all is asked for":     {harmless, "TF_CPP_MIN_LOG_LEVEL=0", first + second + others, others + own},
		"a part is asked for":  {harmless, "TF_CPP_VMODULE=loader=1", first + second + others, others + own},
		"it ends the process":  {build("abort();"), "", others + "SIGABRT", "\n"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpeningKeepsTwoLinesOffStderr$")
		cmd.Env = append(os.Environ(), asked+"="+c.library)
		if c.variable != "" {
			cmd.Env = append(cmd.Env, c.variable)
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		_ = cmd.Run()
		if got := errs.String(); !strings.HasPrefix(got, c.prefix) || !strings.HasSuffix(got, c.suffix) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// needsCompiler skips tests of libraries that are made for them: forgo itself is built without C.
func needsCompiler(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("there is no C compiler")
	}
}
