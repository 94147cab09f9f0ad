//go:build !race

package racetest

// Enabled says whether the race detector watches the tests.
const Enabled = false
