//go:build race

package isolated

const underRace = true
