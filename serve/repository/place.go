package repository

// What lies on disk.

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// place is a path that was given: a bundle, a model's folder of versions, or a folder of models.
type place struct {
	path string
	name string // the model's; "" for a folder of models
}

// found are the bundles of a model by version.
type found map[string]string

// look returns the models of a place, by name.
func (p place) look() (map[string]found, error) {
	if p.name != "" {
		f, err := lookModel(p.path)
		return map[string]found{p.name: f}, err
	}
	entries, err := os.ReadDir(p.path)
	if err != nil {
		return nil, err
	}
	models := map[string]found{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // what is being written has such a name
			continue
		}
		path := filepath.Join(p.path, e.Name())
		f, err := lookModel(path)
		if err != nil || len(f) == 0 {
			continue // it may be on its way
		}
		models[modelName(path)] = f
	}
	return models, nil
}

// lookModel returns a bundle as the only version, or a folder's versions.
func lookModel(path string) (found, error) {
	if isBundle(path) {
		return found{single: path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	f := found{}
	for _, e := range entries {
		if version := filepath.Join(path, e.Name()); isVersion(e.Name()) && isDir(version) {
			f[e.Name()] = version
		}
	}
	return f, nil
}

func isBundle(path string) bool {
	info, err := os.Stat(filepath.Join(path, "forgo.json"))
	return err == nil && info.Mode().IsRegular()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// modelName is the folder's name without .forgo.
func modelName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return strings.TrimSuffix(filepath.Base(path), ".forgo")
}

// fingerprint changes when a file of a bundle does: its name, its size or its time.
func fingerprint(path string) uint64 {
	h := fnv.New64a()
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return 0
	}
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read has no part in it
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			fmt.Fprintf(h, "%s\x00%d\x00%d\x00", path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return h.Sum64()
}
