//go:build linux

package main

// What operators do to the configuration.

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings draws a configuration. A good one names versions that are there.
func (d *driver) settings(good bool) map[string]settings {
	all := map[string]settings{}
	for _, m := range models {
		there := slices.Sorted(maps.Keys(d.shelves[m].disk))
		version := func() string {
			any := d.version()
			if i := d.chance.IntN(versions); len(there) > 0 && (good || i > 2) {
				return there[i%len(there)]
			}
			return any
		}
		s := settings{labels: map[string]string{}, batch: 1 + d.chance.IntN(8)}
		s.policy = []string{"latest", "latest:2", "latest:3", "all", version(), version() + "," + version()}[d.chance.IntN(6)]
		for _, label := range []string{"stable", "canary"} {
			if v := version(); d.chance.IntN(3) == 0 && (!good || len(there) > 0) {
				s.labels[label] = v
			}
		}
		all[m] = s
	}
	all[still] = settings{policy: "latest"} // which nothing says: it is the default
	return all
}

// configure writes the configuration: at once, or over the file that is there.
func (d *driver) configure(all map[string]settings, whole bool) error {
	var text strings.Builder
	text.WriteString("models:\n")
	for _, m := range models {
		s := all[m]
		fmt.Fprintf(&text, "  %s:\n    versions: %q\n    max_batch_rows: %d\n    labels: {", m, s.policy, s.batch)
		for i, label := range slices.Sorted(maps.Keys(s.labels)) {
			if i > 0 {
				text.WriteString(", ")
			}
			fmt.Fprintf(&text, "%s: %s", label, s.labels[label])
		}
		text.WriteString("}\n")
	}
	d.config, d.sure = all, false
	return d.writeConfig(text.String(), whole)
}

func (d *driver) writeConfig(text string, whole bool) error {
	path := filepath.Join(d.folder, "forgo.yaml")
	return d.disturb("configure", "", func() error {
		if whole {
			if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for _, half := range []string{text[:len(text)/2], text[len(text)/2:]} {
			if _, err := f.WriteString(half); err != nil {
				return err
			}
			time.Sleep(time.Duration(d.chance.IntN(200)) * time.Millisecond)
		}
		return nil
	})
}

// misconfigure writes what is no configuration; the one before stays in force until the next.
func (d *driver) misconfigure(context.Context) error {
	d.sure = false
	invalid := []string{"models: [", "models:\n  m0: {versions: newest}\n", "modles: {}\n", "\x00", "models:\n  m0:\n    max_batch_rows: -1\n"}
	return d.writeConfig(invalid[d.chance.IntN(len(invalid))], true)
}
