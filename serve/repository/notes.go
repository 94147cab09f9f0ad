package repository

// What the log says of folders and settings that are not used: once, and again where it went away.

import "fmt"

// notes are what is wrong now.
type notes struct {
	said map[string]bool // by message; false for what is not wrong any more
	seen map[string]int  // how often in a row a folder was passed over
}

// say warns once of what is wrong for as long as it is said in every round.
func (r *Repository) say(message string, attributes ...any) {
	key := fmt.Sprint(message, attributes)
	if _, already := r.told.said[key]; !already {
		r.options.Log.Warn(message, attributes...)
	}
	r.told.said[key] = true
}

// round begins: what is not said before the next one is no longer wrong.
func (r *Repository) round() {
	for key, current := range r.told.said {
		if !current {
			delete(r.told.said, key)
			continue
		}
		r.told.said[key] = false
	}
}

// passOver warns of folders that are neither models nor versions. One that has just come may be on
// its way to another name, but for those that are there at the start.
func (r *Repository) passOver(ignored map[string]string) {
	seen := map[string]int{}
	for path, why := range ignored {
		seen[path] = r.told.seen[path] + 1
		if seen[path] > 1 || !r.started.Load() {
			r.say("ignored", "path", path, "reason", why)
		}
	}
	r.told.seen = seen
}
