// Package racetest tells tests whether the race detector watches them. make test runs them twice. Under the detector,
// tests do the work of a single goroutine less often, or skip it; without it, every test runs whole.
package racetest

// Some returns few under the race detector, and all without it. It is how often a test repeats work that shows the
// detector nothing new: work of one goroutine, or the same work of several.
func Some(all, few int) int {
	if Enabled {
		return few
	}
	return all
}
