//go:build !race

package isolated

const underRace = false
