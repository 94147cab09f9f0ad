package onnx_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
)

// ONNX Runtime 1.32 keeps its device id and its events below the user's cache, and sends them.
func TestNoTelemetry(t *testing.T) {
	const child = "FORGO_TEST_TELEMETRY_CHILD"
	if os.Getenv(child) != "" { // a process of its own: a process opens the library once
		m, err := predict.Load(t.Context(), "../../conformance/bundles/iris.forgo", onnx.Engine())
		if err != nil {
			t.Fatal(err)
		}
		_ = m.Close()
		return
	}
	home := t.TempDir()
	run := exec.Command(os.Args[0], "-test.run=^TestNoTelemetry$")
	run.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ORT_DISABLE_TELEMETRY=") || strings.HasPrefix(v, "XDG_") || strings.HasPrefix(v, "CI=")
	})
	// The variable set to 0 is a wish of other programs' users: forgo never sends anything.
	run.Env = append(run.Env, child+"=1", "HOME="+home, "ORT_DISABLE_TELEMETRY=0")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	err := filepath.WalkDir(home, func(path string, _ fs.DirEntry, err error) error {
		if path != home {
			t.Errorf("loading a bundle left %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
