//go:build race

package serve_test

const underRace = true
