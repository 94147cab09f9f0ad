//go:build !race

package pure

const underRace = false
