//go:build race

package predict_test

const underRace = true
