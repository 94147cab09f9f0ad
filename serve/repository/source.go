package repository

// What lies on disk.

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/forgo-ml/forgo/internal/regular"
)

// source is a path that the user gave: a bundle, a model's folder of versions, or a folder of models.
type source struct {
	path string
	name string // the model's; "" for a folder of models
	here bool   // it is in the program, and never changes
	err  string // why it could not be read when last looked at
}

// found maps versions of a model to their bundles.
type found map[string]string

// look returns the models of a source by name, and reasons for the folders that are neither models nor
// versions.
func (p source) look() (models map[string]found, ignored map[string]string, err error) {
	ignored = map[string]string{}
	if p.here {
		return map[string]found{p.name: {single: p.path}}, ignored, nil
	}
	if p.name != "" {
		f, err := lookModel(p.path, ignored)
		return map[string]found{p.name: f}, ignored, err
	}
	entries, err := os.ReadDir(p.path)
	if err != nil {
		return nil, nil, err
	}
	models = map[string]found{}
	for _, e := range entries {
		path := filepath.Join(p.path, e.Name())
		if hidden(e) || !isDir(path) {
			continue
		}
		f, err := lookModel(path, ignored)
		switch {
		case err != nil:
			ignored[path] = "it is not readable: " + err.Error()
		case len(f) == 0:
			ignored[path] = "it has no model: a model is a bundle, or a folder with bundles at VERSION, a whole number"
		default:
			models[modelName(path)] = f
		}
	}
	return models, ignored, nil
}

// hidden reports whether an entry is still being written.
func hidden(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }

// lookModel returns the versions in a folder, or a bundle as the only version.
func lookModel(path string, ignored map[string]string) (found, error) {
	if isBundle(path) {
		return found{single: path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	f := found{}
	for _, e := range entries {
		switch version := filepath.Join(path, e.Name()); {
		case hidden(e) || !isDir(version):
		case isVersion(e.Name()):
			f[e.Name()] = version
		default:
			ignored[version] = "a version is a whole number from 1, such as 3"
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

// modelName returns the folder's name without .forgo.
func modelName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return strings.TrimSuffix(filepath.Base(path), ".forgo")
}

// maxLooked bounds the files that are checked for a change. No honest bundle has as many, and checking
// files that no manifest lists would keep a core busy.
const maxLooked = 20_000

// fingerprint returns a number that changes when a file of a bundle changes its name, size or time, or
// when another bundle takes its place. It is 0 if the folder cannot be read. The kernel resolves the path,
// since what is behind /proc/PID/root has no other name here.
func fingerprint(path string) uint64 {
	if !isDir(path) {
		return 0
	}
	h := fnv.New64a()
	root := path + string(filepath.Separator) + "." // a link is followed
	if identity, err := regular.Read(filepath.Join(path, "forgo.sha256"), 1<<10); err == nil {
		_, _ = h.Write(identity)
	}
	looked := 0
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if looked++; looked > maxLooked {
			return fs.SkipAll
		}
		if err != nil {
			// Unreadable parts do not count.
			return nil //nolint:nilerr
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			fmt.Fprintf(h, "%s\x00%d\x00%d\x00", path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return h.Sum64() | 1
}
