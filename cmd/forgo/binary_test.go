package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built builds the command once for all tests, in the folder builtIn.
var (
	builtIn string
	built   = sync.OnceValues(func() (string, error) {
		var err error
		if builtIn, err = os.MkdirTemp("", "forgo-built-"); err != nil {
			return "", err
		}
		path := filepath.Join(builtIn, "forgo")
		if out, err := exec.Command("../../scripts/go.sh", "build", "-o", path, ".").CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		return path, nil
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// binary returns the command that was built.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
