package bundle_test

// Bundles whose files are not what files should be.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/fifotest"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
)

// within fails the test, rather than hanging it, where something does not come back.
func within(t *testing.T, limit time.Duration, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s does not come back", what)
	}
}

// Nobody writes into the pipe: whoever waited for that would wait for ever.
func TestPipesAreNotWaitedFor(t *testing.T) {
	for _, file := range []string{"forgo.json", "forgo.sha256", "model.onnx", "card.md"} {
		folder := bundletest.Copy(t, committed[1])
		path := filepath.Join(folder, file)
		fifotest.Make(t, path)
		within(t, 10*time.Second, "opening a bundle with a pipe as "+file, func() {
			if _, err := bundle.Open(folder); err == nil || !strings.Contains(err.Error(), file+": it is a FIFO") {
				t.Errorf("%s: %v", file, err)
			}
		})
	}
	// What becomes a pipe later is not waited for either.
	folder := bundletest.Copy(t, committed[1])
	b, err := bundle.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	path := filepath.Join(folder, "model.onnx")
	fifotest.Make(t, path)
	within(t, 10*time.Second, "reading what has become a pipe", func() {
		if _, err := b.ReadFile("model.onnx"); err == nil || !strings.Contains(err.Error(), "FIFO") {
			t.Errorf("got %v", err)
		}
	})
}

// sparse puts a file of a size in a bundle that takes no space, and lists it.
func sparse(t *testing.T, folder, file string, size int64) {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(file))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	bundletest.Edit(t, folder, func(manifest map[string]any) {
		manifest["files"].(map[string]any)[file] = map[string]any{"size": size, "sha256": strings.Repeat("0", 64)}
	})
	made, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(made.Truncate(size), made.Close()); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
}

// The digest of a long file takes long; whoever stops the process does not wait for it.
// Files that the manifest does not list are never looked at, however many there are.
func TestUnlistedFilesCostNothing(t *testing.T) {
	path := bundletest.Copy(t, "../../conformance/bundles/iris.forgo")
	cost := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b, err := bundle.OpenContext(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	cost() // what is made once
	without := cost()
	for _, folder := range []string{"", "golden"} {
		for i := range 10_000 {
			if err := os.WriteFile(filepath.Join(path, folder, fmt.Sprint("unlisted", i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if with := cost(); with > without+without/2 {
		t.Errorf("opening it takes %d allocations with 20,000 unlisted files, %d without", with, without)
	}
}

func TestHashingIsGivenUp(t *testing.T) {
	path := bundletest.Copy(t, committed[1])
	sparse(t, path, "card.md", 1<<40)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	within(t, 10*time.Second, "opening a bundle of a terabyte", func() {
		if _, err := bundle.OpenContext(ctx, path); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "card.md") {
			t.Errorf("got %v", err)
		}
	})
}

// Golden cases are kept in memory while they are replayed.
func TestGoldenCasesOfGigabytesAreRefused(t *testing.T) {
	path := bundletest.Copy(t, committed[1])
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	file := b.Manifest.Golden.Cases[0].Tensors
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	sparse(t, path, file, 2<<30)
	within(t, 10*time.Second, "opening it", func() {
		if _, err := bundle.Open(path); err == nil || !strings.Contains(err.Error(), "golden cases have") {
			t.Errorf("got %v", err)
		}
	})
}

// What changes between a bundle's check and the copy that an engine opens is not copied.
func TestCopiesAreHeldToTheirDigests(t *testing.T) {
	path := bundletest.Copy(t, "../../conformance/bundles/iris.forgo")
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.CopyFolder(t.Context(), "golden", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(data []byte) []byte{
		"a byte":      func(data []byte) []byte { data[len(data)-1] ^= 1; return data },
		"cut short":   func(data []byte) []byte { return data[:len(data)-1] },
		"made longer": func(data []byte) []byte { return append(data, 0) },
	} {
		file := filepath.Join(path, "golden", "003.safetensors")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bundletest.Write(t, path, "golden/003.safetensors", change(bytes.Clone(data)))
		if err := b.CopyFolder(t.Context(), "golden", t.TempDir()); err == nil || !strings.Contains(err.Error(), "golden/003.safetensors") {
			t.Errorf("%s: copied with %v", name, err)
		}
		bundletest.Write(t, path, "golden/003.safetensors", data)
	}
}
