package main

import (
	"math"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict"
)

// A score is a percentage only if it is a probability.
func TestScoresInATable(t *testing.T) {
	for score, want := range map[float32]string{0.25: "f  a   25.0%\n", 2.5: "f  a  2.5\n", float32(math.NaN()): "f  a  NaN\n"} {
		var out strings.Builder
		r := result{answer: predict.Answer{Classes: []predict.Class{{Label: "a", Score: score}}}}
		r.question.file = "f"
		if err := showTable(&out, 0)(r); err != nil || out.String() != want {
			t.Errorf("%v: %q, %v; want %q", score, out.String(), err, want)
		}
	}
}
