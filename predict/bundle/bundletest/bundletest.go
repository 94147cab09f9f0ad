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
func Copy(t *testing.T, bundle string) string {
	t.Helper()
	place := filepath.Join(t.TempDir(), filepath.Base(bundle))
	if err := os.CopyFS(place, os.DirFS(bundle)); err != nil {
		t.Fatal(err)
	}
	return place
}

// Write replaces a file of a bundle, without telling the manifest.
func Write(t *testing.T, bundle, file string, data []byte) {
	t.Helper()
	place := filepath.Join(bundle, filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(place, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Edit changes a bundle's manifest and then makes every digest right again: what is left
// wrong is for other checks than digests to find.
func Edit(t *testing.T, bundle string, change func(manifest map[string]any)) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(bundle, "forgo.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
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
		t.Fatal(err)
	}
	Write(t, bundle, "forgo.json", raw)
	sum := sha256.Sum256(raw)
	Write(t, bundle, "forgo.sha256", []byte(hex.EncodeToString(sum[:])+"  forgo.json\n"))
}
