// Package racetest tells tests whether the race detector watches them. make test runs them twice: under the detector,
// where what one goroutine does is done less often or not at all, and without it, where every test runs whole.
package racetest

// Some returns all, or few under the race detector: how often a test repeats what one goroutine does, or several do in
// the same way, of which the detector learns nothing more.
func Some(all, few int) int {
	if Enabled {
		return few
	}
	return all
}
