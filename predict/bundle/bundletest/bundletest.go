// Package bundletest makes changed copies of bundles for tests.
package bundletest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Copy copies a bundle into a temporary folder, under its own name, and returns its place.
func Copy(tb testing.TB, bundle string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), filepath.Base(bundle))
	if err := os.CopyFS(path, os.DirFS(bundle)); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Write replaces a file of a bundle, without telling the manifest.
func Write(tb testing.TB, bundle, file string, data []byte) {
	tb.Helper()
	path := filepath.Join(bundle, filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// Edit changes a bundle's manifest and then makes every digest right again: what is left
// wrong is for other checks than digests to find.
func Edit(tb testing.TB, bundle string, change func(manifest map[string]any)) {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(bundle, "forgo.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(raw, &manifest); err != nil {
		tb.Fatal(err)
	}
	change(manifest)
	for name, entry := range manifest["files"].(map[string]any) {
		data, err := os.ReadFile(filepath.Join(bundle, filepath.FromSlash(name)))
		if err != nil {
			continue // a file that the test has taken away
		}
		sum := sha256.Sum256(data)
		entry.(map[string]any)["sha256"] = hex.EncodeToString(sum[:])
		entry.(map[string]any)["size"] = len(data)
	}
	if raw, err = json.Marshal(manifest); err != nil {
		tb.Fatal(err)
	}
	Write(tb, bundle, "forgo.json", raw)
	sum := sha256.Sum256(raw)
	Write(tb, bundle, "forgo.sha256", []byte(hex.EncodeToString(sum[:])+"  forgo.json\n"))
}
