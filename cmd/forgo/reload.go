package main

// Reloading a running server's configuration. It applies the settings of models, and logs the keys that need a
// restart.

import (
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/serve/repository"
)

// reloader reads a configuration file again. It is used by one goroutine at a time.
type reloader struct {
	path       string // "": no file
	flags      *pflag.FlagSet
	log        *slog.Logger
	overridden func(flag string) bool // whether a flag was set outside the file
	paths      bool                   // whether the paths were
	begun      config                 // what the server runs with
	now        config                 // what was read last
	failed     string
}

// read returns the models' settings if they have changed. It returns false if the file is unchanged or unreadable;
// an unreadable file is logged once, and the previous settings stay.
func (r *reloader) read() (map[string]repository.Settings, bool) {
	if r.path == "" {
		return nil, false
	}
	c, err := readConfig(r.path, r.flags, false)
	if err != nil {
		if err.Error() != r.failed {
			r.log.Error("configuration not reloaded, the previous one stays in force", "error", err.Error())
		}
		r.failed = err.Error()
		return nil, false
	}
	r.failed = ""
	before := r.now
	r.now = c
	if reflect.DeepEqual(before, c) {
		return nil, false
	}
	models := differing(before.Models, c.Models)
	r.log.Info("configuration reloaded", "models", models)
	if late := r.needRestart(c); len(late) > 0 {
		r.log.Warn("configuration: these keys take effect after a restart", "keys", late)
	}
	return c.Models, len(models) > 0
}

// needRestart lists the keys whose values differ from those that the server started with.
func (r *reloader) needRestart(c config) []string {
	var late []string
	for _, key := range differing(r.begun.flags, c.flags) {
		if !r.overridden(strings.ReplaceAll(key, "_", "-")) {
			late = append(late, key)
		}
	}
	if !r.paths && !slices.Equal(r.begun.Paths, c.Paths) {
		late = append(late, "paths")
	}
	for _, name := range differing(r.begun.Models, c.Models) {
		if r.begun.Models[name].Path != c.Models[name].Path {
			late = append(late, "models."+name+".path")
		}
	}
	return late
}

// differing lists the keys by which two maps differ, in order.
func differing[V any](a, b map[string]V) []string {
	keys := map[string]bool{}
	for _, m := range []map[string]V{a, b} {
		for key := range m {
			v, inA := a[key]
			w, inB := b[key]
			if inA != inB || !reflect.DeepEqual(v, w) {
				keys[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
