// Leaves calls github.com/dmitryikh/leaves, a Go library for ensembles of trees, with one row after another:
//
//	leaves MODEL ROWS SECONDS
//
// MODEL is LightGBM's text, ROWS a JSON object with rows and the probability that LightGBM gives to each. Before and
// after the turn every row's answer is held to it. Prints the calls a second.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/dmitryikh/leaves"
)

type known struct {
	Rows    [][]float64 `json:"rows"`
	Answers []float64   `json:"answers"`
}

func main() {
	rate, err := run(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rate)
}

func run(args []string) (float64, error) {
	if len(args) != 3 {
		return 0, fmt.Errorf("give MODEL ROWS SECONDS, not %q", args)
	}
	seconds, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(args[1])
	if err != nil {
		return 0, err
	}
	var rows known
	if err := json.Unmarshal(data, &rows); err != nil {
		return 0, fmt.Errorf("read %s: %w", args[1], err)
	}
	model, err := leaves.LGEnsembleFromFile(args[0], true)
	if err != nil {
		return 0, err
	}
	if err := check(model, rows); err != nil {
		return 0, err
	}
	calls, start := 0, time.Now()
	for time.Since(start).Seconds() < seconds {
		for range 100 {
			model.PredictSingle(rows.Rows[calls%len(rows.Rows)], 0)
			calls++
		}
	}
	rate := float64(calls) / time.Since(start).Seconds()
	return rate, check(model, rows)
}

func check(model *leaves.Ensemble, rows known) error {
	for i, row := range rows.Rows {
		if got := model.PredictSingle(row, 0); !(math.Abs(got-rows.Answers[i]) <= 1e-6) {
			return fmt.Errorf("row %d: leaves answered %g, LightGBM %g", i, got, rows.Answers[i])
		}
	}
	return nil
}
