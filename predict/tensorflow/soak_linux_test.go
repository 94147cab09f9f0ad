package tensorflow_test

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/memorytest"
	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// Memory must not grow with loads and closes, nor with runs: after a warm-up, it stays within
// a tenth of what it was, and does not rise from one part to the next.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("1,000 loads and 100,000 runs")
	}
	loads, runs := racetest.Some(1000, 150), racetest.Some(100_000, 10_000)
	x := predict.Tensors{"words": {Shape: []int64{2, 2}, Data: []string{"serve", "forgo", strings.Repeat("long ", 100), ""}}}
	run := func(s engines.Session) {
		if _, err := s.Run(t.Context(), x, []string{"number", "loud"}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("loads", func(t *testing.T) {
		steady(t, 50, loads, func() {
			s, err := tensorflow.Engine().Open(t.Context(), graph("text"), predict.SessionOptions{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			run(s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("runs", func(t *testing.T) {
		s := open(t, graph("text"))
		steady(t, 5_000, runs, func() { run(s) })
	})
	t.Run("failing runs", func(t *testing.T) {
		s := open(t, graph("reads"), tensorflow.AllowFiles())
		nowhere := predict.Tensors{"path": {Shape: []int64{1}, Data: []string{"/no/such/file"}}}
		steady(t, 5_000, runs, func() {
			if _, err := s.Run(t.Context(), nowhere, []string{"content"}); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
				t.Fatalf("a file that is not there was read: %v", err)
			}
		})
	})
}

func steady(t *testing.T, warm, all int, do func()) {
	t.Helper()
	for range warm {
		do()
	}
	start := residentKiB(t)
	const parts = 5
	var after []int
	for range parts {
		for range (all - warm) / parts {
			do()
		}
		after = append(after, residentKiB(t))
	}
	t.Logf("%d KiB after the first %d, then %v", start, warm, after)
	last := after[parts-1]
	if last > start+start/10 {
		t.Errorf("memory went from %d to %d KiB", start, last)
	}
	// A leak rises in every part; an allocator's noise does not.
	rises := 0
	for i := 1; i < parts; i++ {
		if after[i] > after[i-1]+after[i-1]/200 {
			rises++
		}
	}
	if rises == parts-1 {
		t.Errorf("memory rises from part to part: %v KiB", after)
	}
}

func residentKiB(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	return int(memorytest.Resident(t) >> 10)
}
