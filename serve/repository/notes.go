package repository

// Warnings about unused folders and settings. Each is logged once, and again if it recurs.

import "fmt"

// notes holds the current warnings.
type notes struct {
	said map[string]bool // by message; false once it is no longer true
	seen map[string]int  // how often in a row a folder was passed over
}

// say logs a warning, unless the previous round had it too.
func (r *Repository) say(message string, attributes ...any) {
	key := fmt.Sprint(message, attributes)
	if _, already := r.notes.said[key]; !already {
		r.options.Log.Warn(message, attributes...)
	}
	r.notes.said[key] = true
}

// round starts a round. A warning that is not repeated in it is over.
func (r *Repository) round() {
	for key, current := range r.notes.said {
		if !current {
			delete(r.notes.said, key)
			continue
		}
		r.notes.said[key] = false
	}
}

// passOver warns of folders that are neither models nor versions. Except at the start, it waits for one
// round, since a new folder may be about to get another name.
func (r *Repository) passOver(ignored map[string]string) {
	seen := map[string]int{}
	for path, why := range ignored {
		seen[path] = r.notes.seen[path] + 1
		if seen[path] > 1 || !r.started.Load() {
			r.say("ignored", "path", path, "reason", why)
		}
	}
	r.notes.seen = seen
}
