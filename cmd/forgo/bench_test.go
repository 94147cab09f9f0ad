package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestBench(t *testing.T) {
	for _, path := range []string{packable, "../../conformance/bundles/iris.forgo"} {
		var out, errs strings.Builder
		if code := run(t.Context(), []string{"bench", "--json", "--time", "20ms", "--callers", "1,3", path}, &out, &errs); code != exitDone {
			t.Fatal(errs.String())
		}
		var report benchReport
		if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range report.Measurements {
			got = append(got, m.Input+strings.Repeat("+", m.Callers))
			if m.Answers > 0 && (m.PerSecond <= 0 || m.P50 <= 0 || m.P99 < m.P50) {
				t.Errorf("%s: %+v", path, m)
			}
		}
		if want := []string{"raw+", "raw+++", "ready+", "ready+++"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
		if report.Engine.Model == "" || report.Digest == "" {
			t.Errorf("%s: %+v", path, report)
		}
	}
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"bench", "--time", "10ms", packable}, &out, &errs); code != exitDone || !strings.Contains(out.String(), "answers/s") {
		t.Errorf("%s%s", out.String(), errs.String())
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--callers", "0", packable}, exitUsage, "--callers takes numbers from 1 to 64, not 0"},
		{[]string{"--callers", "65", packable}, exitUsage, "not 65"},
		{[]string{"--callers", "many", packable}, exitUsage, "many"},
		{[]string{"--time", "0", packable}, exitUsage, "--time takes up to 10m0s, not 0s"},
		{[]string{"--time", "1h", packable}, exitUsage, "not 1h0m0s"},
		{[]string{"nowhere.forgo"}, exitRefused, "nowhere.forgo"},
		{nil, exitUsage, "accepts 1 arg"},
	} {
		var out, errs strings.Builder
		if code := run(t.Context(), append([]string{"bench"}, c.args...), &out, &errs); code != c.code || !strings.Contains(errs.String(), c.says) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%v: exit code %d: %s", c.args, code, errs.String())
		}
	}
}

// A call that fails ends the measurement, and so does a caller who has had enough.
func TestMeasureEnds(t *testing.T) {
	var calls atomic.Int64
	failing := errors.New("it failed")
	fail := func(context.Context) error {
		if calls.Add(1) > 100 {
			return failing
		}
		return nil
	}
	if _, err := measure(t.Context(), []func(context.Context) error{fail}, 4, time.Hour); !errors.Is(err, failing) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	honest := func(ctx context.Context) error { return ctx.Err() }
	if _, err := measure(ctx, []func(context.Context) error{honest}, 4, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Quantiles are those of the sorted durations, to within the width of a bucket.
func TestLatencies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var whole latencies
	var parts [3]latencies
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(random.Int64N(1 << (i % 50)))
		all = append(all, d)
		parts[i%3].add(d)
	}
	for i := range parts {
		whole.merge(&parts[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.99, 0.9999} {
		want := all[int(q*float64(len(all)))]
		if got := whole.quantile(q); got > want || want-got > want/32 {
			t.Errorf("the quantile %v is %v, want %v", q, got, want)
		}
	}
	if whole.add(1<<63 - 1); whole.quantile(1) != 0 || (&latencies{}).quantile(0.5) != 0 {
		t.Error("a quantile beyond all is 0")
	}
}
