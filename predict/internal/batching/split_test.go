package batching

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// numbered has rows whose values are their numbers.
func numbered(rows int) tensor.Map {
	in := request(0, rows, 2)
	for i := range in["x"].Data.([]float32) {
		in["x"].Data.([]float32)[i] = float32(i / 2)
	}
	return in
}

// A request of many rows runs in parts, which grow while they are fast, and has its rows in order.
func TestLongRequestsRunInParts(t *testing.T) {
	e := &engine{}
	b := e.batcher(Limits{BatchRows: 4})
	b.Split(4)
	const rows = 10_003
	for range 3 {
		in := numbered(rows)
		out, took, err := do(t, b, in, rows)
		if err != nil {
			t.Fatal(err)
		}
		y := out["y"]
		if !slices.Equal(y.Shape, []int64{rows, 2}) || !slices.Equal(y.Data.([]float32), in["x"].Data.([]float32)) {
			t.Fatalf("%v: other rows came back", y.Shape)
		}
		if took.BatchRows < 4 {
			t.Errorf("its timing says %+v", took)
		}
	}
	sizes := map[int]bool{}
	for _, run := range e.runs {
		sizes[run["x"].Rows()] = true
	}
	if !sizes[4] || !sizes[8] {
		t.Errorf("no part of 4 rows and then one of 8: %v", sizes)
	}
	if out, _, err := do(t, b, numbered(0), 0); err != nil || out["y"].Rows() != 0 {
		t.Errorf("no rows: %v, %v", out, err)
	}
}

// Parts that are slow stay as small as a batch.
func TestPartsFollowTheirTime(t *testing.T) {
	var s splitter
	s.Split(32)
	const each = 64
	for range 40 {
		s.ran(s.some(1<<30, each), partTime/10)
	}
	if n := s.some(1<<30, each); n != partBytes/each {
		t.Errorf("fast parts have %d rows", n)
	}
	if n := s.some(5, each); n != 5 {
		t.Errorf("the last part has %d rows", n)
	}
	if n := s.some(1<<30, 1<<30); n != 32 {
		t.Errorf("parts of huge rows have %d", n)
	}
	s.ran(5, partTime)
	s.ran(32, time.Second) // which need not be smaller
	if n := s.some(1<<30, each); n != partBytes/each {
		t.Errorf("after short ones they have %d rows", n)
	}
	for range 40 {
		s.ran(s.some(1<<30, each), time.Second)
	}
	if n := s.some(1<<30, each); n != 32 {
		t.Errorf("slow parts have %d rows", n)
	}
}

// Other callers have their turn between two parts.
func TestALongRequestKeepsNobodyWaiting(t *testing.T) {
	e, started, goOn := blocked()
	b := e.batcher(Limits{BatchRows: 1 << 10})
	b.Split(8)
	b.fixed = true
	long := make(chan error, 1)
	go func() {
		r := b.Empty()
		_, _, err := b.Do(t.Context(), &r, numbered(80), 80)
		long <- err
	}()
	<-started
	waiting, release := queue(t, b, t.Context(), request(7, 1, 2))
	release()
	goOn <- struct{}{}
	<-started
	goOn <- struct{}{}
	wantAnswer(t, b, waiting[0], request(7, 1, 2)) // while nine parts are left
	close(goOn)
	for {
		select {
		case <-started:
		case err := <-long:
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

// What bounds a run bounds a request's runs together, and its caller can leave between them.
func TestPartsAreBounded(t *testing.T) {
	e := &engine{before: func(context.Context, tensor.Map) error { time.Sleep(2 * time.Millisecond); return nil }}
	b := e.batcher(Limits{BatchRows: 4})
	b.Split(4)
	b.fixed, b.RunTime = true, 20*time.Millisecond
	if _, _, err := do(t, b, numbered(4000), 4000); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if n := len(e.runs); n > 20 {
		t.Errorf("it had %d runs", n)
	}

	ctx, leave := context.WithCancel(t.Context())
	e.runs, b.RunTime = nil, 0
	e.before = func(context.Context, tensor.Map) error {
		if len(e.runs) == 3 {
			leave()
		}
		return ctx.Err()
	}
	r := b.Empty()
	if _, _, err := b.Do(ctx, &r, numbered(4000), 4000); !errors.Is(err, context.Canceled) || len(e.runs) != 3 {
		t.Errorf("got %v after %d runs", err, len(e.runs))
	}
	if !nothingTaken(b) || b.Queued != 0 {
		t.Errorf("left over: %v", taken(b))
	}
}

// Outputs that depend on how many rows there are cannot be put together.
func TestPartsThatDoNotFit(t *testing.T) {
	b := New(Limits{BatchRows: 4}, []string{"x"}, func(_ context.Context, in tensor.Map, n int) (tensor.Map, error) {
		return tensor.Map{"y": {Shape: []int64{int64(n), int64(n)}, Data: make([]float32, n*n)}}, nil
	})
	b.Split(4)
	b.fixed = true
	if _, _, err := do(t, b, numbered(6), 6); err == nil || !strings.Contains(err.Error(), `output "y": rows 4 to 5: `) {
		t.Errorf("got %v, want the rows of the second part", err)
	}
}
