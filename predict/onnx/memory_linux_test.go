package onnx_test

// What C holds, and for how long.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/cmemory"
	"github.com/forgo-ml/forgo/internal/memorytest"
	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/predicttest"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func open(t *testing.T, name string) engines.Session {
	t.Helper()
	s, err := onnx.Engine().Open(t.Context(), read(t, name), predict.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func short(n int) int {
	if testing.Short() {
		return n / 20
	}
	return n
}

// Answers are right while Go's collector runs all the time and moves stacks, threads are interrupted by
// signals, runs are given up, others fail, and sessions come and go.
func TestRightUnderStress(t *testing.T) {
	numbers, same, two := open(t, "affine"), open(t, "same-string"), open(t, "two")
	predicttest.Stress(t, onnx.Engine(), read(t, "affine"), 100, func(ctx context.Context, random *rand.Rand) error {
		return askOne(ctx, random, numbers, same, two)
	})
}

func askOne(ctx context.Context, random *rand.Rand, numbers, same, two engines.Session) error {
	rows := int64(1 + random.IntN(5))
	if random.IntN(20) == 0 {
		rows = 10_000 // too many for a binding
	}
	switch random.IntN(5) {
	case 0: // a failing call
		x := predict.Tensors{"a": {Shape: []int64{2, 2}, Data: make([]float32, 4)}, "b": {Shape: []int64{3, 2}, Data: make([]float32, 6)}}
		if out, err := two.Run(ctx, x, []string{"sum"}); err == nil {
			return fmt.Errorf("2 rows and 3 rows were added: %v", out)
		}
		return nil
	case 1: // one that may be given up
		soon, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(20_000)))
		defer cancel()
		x := predict.Tensors{"x": {Shape: []int64{rows, 3}, Data: make([]float32, 3*rows)}}
		out, err := numbers.Run(soon, x, []string{"y"})
		if err == nil && out["y"].Data.([]float32)[0] != 1 || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("given up: %v, %w", out["y"].Shape, err)
		}
		return nil
	case 2:
		x := make([]string, 2*rows)
		for i := range x {
			x[i] = strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(100)) + "\x00é"
		}
		out, err := same.Run(ctx, predict.Tensors{"x": {Shape: []int64{rows, 2}, Data: slices.Clone(x)}}, []string{"y"})
		if err != nil || !slices.Equal(out["y"].Data.([]string), x) {
			return fmt.Errorf("%q came back as %v: %w", x, out, err)
		}
		return nil
	}
	x := make([]float32, 3*rows)
	for i := range x {
		x[i] = float32(random.IntN(1 << 20))
	}
	out, err := numbers.Run(ctx, predict.Tensors{"x": {Shape: []int64{rows, 3}, Data: x}}, []string{"y"})
	if err != nil || len(out["y"].Data.([]float32)) != len(x) {
		return fmt.Errorf("%d rows: %v, %w", rows, out["y"].Shape, err)
	}
	for i, y := range out["y"].Data.([]float32) {
		if y != 2*x[i]+1 {
			return fmt.Errorf("2 × %v + 1 = %v", x[i], y)
		}
	}
	return nil
}

// Memory does not grow with runs that succeed, fail or are given up, nor with sessions.
func TestMemoryDoesNotGrow(t *testing.T) {
	numbers, same, two := open(t, "affine"), open(t, "same-string"), open(t, "two")
	slow := open(t, "slow")
	row := predict.Tensors{"x": {Shape: []int64{1, 3}, Data: make([]float32, 3)}}
	rows := int64(0)
	for name, c := range map[string]struct {
		times int
		do    func() error
	}{
		"runs of many shapes": {6_000, func() error {
			rows = rows%200 + 1
			_, err := numbers.Run(t.Context(), predict.Tensors{"x": {Shape: []int64{rows, 3}, Data: make([]float32, 3*rows)}}, []string{"y"})
			return err
		}},
		"large runs": {2_000, func() error {
			_, err := numbers.Run(t.Context(), predict.Tensors{"x": {Shape: []int64{20_000, 3}, Data: make([]float32, 60_000)}}, []string{"y"})
			return err
		}},
		"strings": {6_000, func() error {
			x := tensor.Tensor{Shape: []int64{1, 2}, Data: []string{strings.Repeat("long", 500), ""}}
			_, err := same.Run(t.Context(), predict.Tensors{"x": x}, []string{"y"})
			return err
		}},
		"failing runs": {6_000, func() error {
			x := predict.Tensors{"a": {Shape: []int64{2, 2}, Data: make([]float32, 4)}, "b": {Shape: []int64{3, 2}, Data: make([]float32, 6)}}
			if out, err := two.Run(t.Context(), x, []string{"sum"}); err == nil {
				return fmt.Errorf("got %v", out)
			}
			return nil
		}},
		"runs that are given up": {200, func() error {
			soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := slow.Run(soon, row, []string{"y"}); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		}},
		"sessions": {1_000, func() error {
			s, err := onnx.Engine().Open(t.Context(), read(t, "affine"), predict.SessionOptions{Threads: 1})
			if err != nil {
				return err
			}
			_, err = s.Run(t.Context(), row, []string{"y"})
			return errors.Join(err, s.Close())
		}},
		"sessions that are refused": {2_000, func() error {
			g := read(t, "affine")
			g.Data = append(slices.Clone(g.Data), message(7, message(1, message(2, "y", 4, "NoSuchOperation")))...)
			if s, err := onnx.Engine().Open(t.Context(), g, predict.SessionOptions{Threads: 1}); err == nil {
				_ = s.Close()
				return errors.New("it was opened")
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			times := max(short(racetest.Some(c.times, c.times/10)), 20)
			resident := func(n int) int {
				for range n {
					if err := c.do(); err != nil {
						t.Fatal(err)
					}
				}
				return residentKiB(t)
			}
			before := resident(times)
			after := []int{resident(times), resident(times), resident(times)}
			t.Logf("%d KiB after %d, then %v", before, times, after)
			if after[2] > before+2048+before/20 {
				t.Errorf("memory went from %d to %v KiB", before, after)
			}
		})
	}
}

// residentKiB is the process's memory after Go and C have given back what they can.
func residentKiB(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	cmemory.Return()
	return int(memorytest.Resident(t) >> 10)
}

// ONNX Runtime gives back what a large run took, and what a smaller one took among many others. Each of several
// sessions would keep 4 MiB or more.
func TestMemoryOfLargeRunsComesBack(t *testing.T) {
	for name, rows := range map[string]int{"large": 2 << 20, "crowded": 340_000} {
		t.Run(name, func(t *testing.T) {
			ask := func(s engines.Session, rows int) {
				x := predict.Tensors{"x": {Shape: []int64{int64(rows), 3}, Data: make([]float32, 3*rows)}}
				out, err := s.Run(t.Context(), x, []string{"y"})
				if err != nil || out["y"].Data.([]float32)[3*rows-1] != 1 {
					t.Fatalf("%d rows: %v, %v", rows, out["y"].Shape, err)
				}
			}
			var sessions []engines.Session
			for range 8 {
				s := open(t, "affine")
				if name == "crowded" {
					onnx.Crowd(s)
				}
				ask(s, 10_000)
				sessions = append(sessions, s)
			}
			before := residentKiB(t)
			for _, s := range sessions {
				ask(s, rows)
			}
			if after := residentKiB(t); after > before+16<<10 {
				t.Errorf("%d KiB stay of %d rows; %d were there before", after, rows, before)
			}
		})
	}
}

// What ONNX Runtime says of a graph is one printable line, however long the names in it.
func TestErrorsAreBoundedAndPrintable(t *testing.T) {
	g := read(t, "affine")
	name := "\x1b[2J\n" + strings.Repeat("x", 1<<20)
	g.Data = append(slices.Clone(g.Data), message(7, message(1, message(2, "other", 3, name, 4, "NoSuchOperation")))...)
	s, err := onnx.Engine().Open(t.Context(), g, predict.SessionOptions{})
	if err == nil {
		_ = s.Close()
		t.Fatal("it was opened")
	}
	if text := err.Error(); len(text) > 8<<10 || strings.ContainsAny(text, "\x1b\n") || !strings.Contains(text, `\u001b[2J`) {
		t.Errorf("%d bytes: %.300q", len(text), text)
	}
}
