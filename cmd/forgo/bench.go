package main

// How fast a bundle answers on this machine, as a Go program that uses the library sees it.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/internal/printable"
	access "github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
)

const (
	maxBenchCallers = 64 // what a model admits by default
	maxBenchTime    = 10 * time.Minute
)

type benchFlags struct {
	load    loadFlags
	callers []int
	time    time.Duration
	json    bool
}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench BUNDLE",
		Short: "Measure how fast a bundle answers on this machine",
		Long: "Bench loads and proves a bundle as serve does. Then callers send its golden cases in turn, each waiting for\n" +
			"its answer: once as raw inputs (with decode, preprocess and label), once as ready tensors. No network is\n" +
			"involved. Batches combine the rows of concurrent callers.",
		Example: "  forgo bench digits.forgo\n" +
			"  forgo bench --engine onnx --callers 1,8,32 --time 5s digits.forgo\n" +
			"  forgo bench --json photos.forgo",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, n := range f.callers {
				if n < 1 || n > maxBenchCallers {
					return usageError{fmt.Errorf("--callers takes numbers from 1 to %d, not %d", maxBenchCallers, n)}
				}
			}
			if f.time <= 0 || f.time > maxBenchTime {
				return usageError{fmt.Errorf("--time takes up to %v, not %v", maxBenchTime, f.time)}
			}
			return f.run(cmd, args[0])
		},
	}
	cmd.Flags().IntSliceVar(&f.callers, "callers", []int{1, 8}, "measure with `NUMBER` concurrent callers; a comma-separated list measures with each number")
	cmd.Flags().DurationVar(&f.time, "time", 2*time.Second, "how long each measurement takes")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	f.load.add(cmd.Flags())
	return cmd
}

// benchReport is what bench prints. Times are in microseconds.
type benchReport struct {
	Name         string        `json:"name"`
	Digest       string        `json:"digest"`
	Engine       engineNames   `json:"engine"`
	Measurements []measurement `json:"measurements"`
}

type measurement struct {
	Input     string  `json:"input"` // raw or ready
	Callers   int     `json:"callers"`
	Answers   int64   `json:"answers"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
}

func (f *benchFlags) run(cmd *cobra.Command, path string) error {
	ctx := cmd.Context()
	b, err := openBundle(ctx, path)
	if err != nil {
		return err
	}
	raw, err := goldenInputs(b)
	b.Close()
	if err != nil {
		return err
	}
	model, err := f.load.load(ctx, path)
	if err != nil {
		return err
	}
	defer model.Close()
	warnOfEngines(cmd, model)
	report := benchReport{Name: model.Manifest().Name, Digest: model.Digest(), Engine: engineReport(access.Of(model).Engine())}
	for _, input := range []string{"raw", "ready"} {
		calls, err := benchCalls(ctx, model, input, raw)
		if err != nil {
			return err
		}
		for _, callers := range f.callers {
			m, err := measure(ctx, calls, callers, f.time)
			if err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			m.Input = input
			report.Measurements = append(report.Measurements, m)
		}
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	}
	return report.print(cmd)
}

// goldenInputs are the golden cases' raw inputs.
func goldenInputs(b *bundle.Bundle) ([][]byte, error) {
	var raw [][]byte
	for _, c := range b.Manifest.Golden.Cases {
		data, err := b.ReadFile(c.Input)
		if err != nil {
			return nil, err
		}
		raw = append(raw, data)
	}
	if len(raw) == 0 {
		return nil, &bundle.Error{Bundle: b.Path, Err: errors.New("it has no golden cases to measure with")}
	}
	return raw, nil
}

// benchCalls are calls of the model, one for each golden case.
func benchCalls(ctx context.Context, model *predict.Model, input string, raw [][]byte) ([]func(context.Context) error, error) {
	calls := make([]func(context.Context) error, len(raw))
	for i, data := range raw {
		if input == "raw" {
			calls[i] = func(ctx context.Context) error {
				_, err := model.Answer(ctx, data)
				return err
			}
			continue
		}
		ready, err := model.Prepare(ctx, data)
		if err != nil {
			return nil, err
		}
		calls[i] = func(ctx context.Context) error {
			_, err := model.Run(ctx, ready)
			return err
		}
	}
	return calls, nil
}

// measure makes the calls in turn, from callers at the same time, for the time d, after a tenth of it that does not
// count.
func measure(ctx context.Context, calls []func(context.Context) error, callers int, d time.Duration) (measurement, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now().Add(d / 10)
	end := start.Add(d)
	times := make([]latencies, callers)
	errs := make([]error, callers)
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			for n := i; ; n++ {
				before := time.Now()
				if before.After(end) {
					return
				}
				if err := calls[n%len(calls)](ctx); err != nil {
					errs[i] = err
					cancel() // the others need not go on
					return
				}
				if before.After(start) {
					times[i].add(time.Since(before))
				}
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return measurement{}, err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return measurement{}, err
	}
	for _, other := range times[1:] {
		times[0].merge(&other)
	}
	all := &times[0]
	return measurement{
		Callers: callers, Answers: all.count, PerSecond: float64(all.count) / time.Since(start).Seconds(),
		P50: microseconds(all.quantile(0.50)), P99: microseconds(all.quantile(0.99)),
	}, nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (r *benchReport) print(cmd *cobra.Command) error {
	printable.Fprintf(cmd.OutOrStdout(), "%s  sha256:%.12s\nengine: %s\n\n", r.Name, r.Digest, r.Engine)
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "input\tcallers\tanswers/s\tp50\tp99\t")
	for _, m := range r.Measurements {
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%s\t%s\t\n", m.Input, m.Callers, m.PerSecond, shortTime(m.P50), shortTime(m.P99))
	}
	return table.Flush()
}

// shortTime writes microseconds with three digits.
func shortTime(us float64) string {
	unit := "µs"
	if us >= 1000 {
		us, unit = us/1000, "ms"
	}
	switch {
	case us < 10:
		return fmt.Sprintf("%.2f %s", us, unit)
	case us < 100:
		return fmt.Sprintf("%.1f %s", us, unit)
	}
	return fmt.Sprintf("%.0f %s", us, unit)
}

// latencies counts durations in buckets that are at most 1/32 wide.
type latencies struct {
	count   int64
	buckets [60 * 32]int64
}

func (l *latencies) add(d time.Duration) {
	l.count++
	l.buckets[latencyBucket(d)]++
}

func (l *latencies) merge(other *latencies) {
	l.count += other.count
	for i, n := range other.buckets {
		l.buckets[i] += n
	}
}

// latencyBucket returns the bucket of a duration: below 64 ns one for each, then 32 for each power of two.
func latencyBucket(d time.Duration) int {
	n := uint64(max(0, d))
	shift := max(0, bits.Len64(n)-6)
	return shift*32 + int(n>>shift)
}

// quantile returns the lower end of the bucket that holds the share q of all durations.
func (l *latencies) quantile(q float64) time.Duration {
	left := int64(q * float64(l.count))
	for i, n := range l.buckets {
		if left -= n; left < 0 {
			shift := max(0, i/32-1)
			return time.Duration(i-shift*32) << shift
		}
	}
	return 0
}
