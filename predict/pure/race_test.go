//go:build race

package pure

const underRace = true
