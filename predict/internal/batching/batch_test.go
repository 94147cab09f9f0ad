package batching

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// engine stands for a session: it answers what it was asked, and notes each run's inputs.
// The tests with real engines are in callers_test.go.
type engine struct {
	mu   sync.Mutex
	runs []tensor.Map
	// before is called in each run; an error ends it.
	before func(ctx context.Context, in tensor.Map) error
}

func (e *engine) compute(ctx context.Context, in tensor.Map, n int) (tensor.Map, error) {
	e.mu.Lock()
	e.runs = append(e.runs, maps.Clone(in)) // the map is used again
	e.mu.Unlock()
	if e.before != nil {
		if err := e.before(ctx, in); err != nil {
			return nil, err
		}
	}
	x := in["x"]
	if data, ok := x.Data.([]float32); ok {
		x.Data = slices.Clone(data) // the inputs' memory is used again
	}
	return tensor.Map{"y": x}, nil
}

func (e *engine) batcher(o Limits) *Batcher {
	return New(o, []string{"x"}, e.compute)
}

// request has rows of so many columns, all with one value.
func request(value float32, rows, columns int) tensor.Map {
	data := slices.Repeat([]float32{value}, rows*columns)
	return tensor.Map{"x": {Shape: []int64{int64(rows), int64(columns)}, Data: data}}
}

// queue lets requests wait, as they do while the engine is busy, until release.
func queue(t *testing.T, b *Batcher, ctx context.Context, requests ...tensor.Map) (waiting []*Call, release func()) {
	t.Helper()
	release = b.Hold()
	for _, in := range requests {
		b.Lock()
		c, err := b.enqueue(ctx, in, in["x"].Rows())
		b.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	return waiting, release
}

// taken is what requests have taken of a queue.
func taken(b *Batcher) string {
	b.Lock()
	defer b.Unlock()
	coming, working, bytes := b.Taken()
	return fmt.Sprintf("%d rows are coming, %d wait, %d bytes are taken", coming, working, bytes)
}

func nothingTaken(b *Batcher) bool { return taken(b) == "0 rows are coming, 0 wait, 0 bytes are taken" }

func do(t *testing.T, b *Batcher, in tensor.Map, rows int) (tensor.Map, serving.Timing, error) {
	t.Helper()
	r := b.Empty()
	return b.Do(t.Context(), &r, in, rows)
}

func wantAnswer(t *testing.T, b *Batcher, c *Call, in tensor.Map) {
	t.Helper()
	want := in["x"]
	out, _, err := b.Wait(c)
	if err != nil {
		t.Errorf("%v: %v", want, err)
		return
	}
	y := out["y"]
	if y.DType() != want.DType() || !slices.Equal(y.Shape, want.Shape) || fmt.Sprint(y.Data) != fmt.Sprint(want.Data) {
		t.Errorf("got %v, want %v", y, want)
	}
}

func TestBatches(t *testing.T) {
	other := func(rows int) tensor.Map {
		return tensor.Map{"x": {Shape: []int64{int64(rows), 2}, Data: make([]int64, 2*rows)}}
	}
	for name, c := range map[string]struct {
		options  Limits
		requests []tensor.Map
		want     [][]int // which requests run together, in which order
	}{
		"rows are counted, not requests": {
			Limits{BatchRows: 8},
			[]tensor.Map{request(1, 3, 2), request(2, 4, 2), request(3, 3, 2), request(4, 1, 2)},
			[][]int{{0, 1}, {2, 3}},
		},
		"a full batch": {
			Limits{BatchRows: 4},
			[]tensor.Map{request(1, 2, 2), request(2, 2, 2), request(3, 2, 2)},
			[][]int{{0, 1}, {2}},
		},
		"a request above the maximum runs alone and whole": {
			Limits{BatchRows: 4},
			[]tensor.Map{request(1, 2, 2), request(2, 9, 2), request(3, 1, 2), request(4, 1, 2)},
			[][]int{{0}, {1}, {2, 3}},
		},
		"a small request does not overtake one that no longer fitted": {
			Limits{BatchRows: 4},
			[]tensor.Map{request(1, 3, 2), request(2, 3, 2), request(3, 1, 2)},
			[][]int{{0}, {1, 2}},
		},
		"batching switched off": {
			Limits{BatchRows: 1},
			[]tensor.Map{request(1, 1, 2), request(2, 1, 2), request(3, 5, 2)},
			[][]int{{0}, {1}, {2}},
		},
		"other widths wait for their own batch": {
			Limits{},
			[]tensor.Map{request(1, 1, 2), request(2, 1, 3), request(3, 2, 2), request(4, 2, 3)},
			[][]int{{0, 2}, {1, 3}},
		},
		"other types wait for their own batch": {
			Limits{},
			[]tensor.Map{request(1, 1, 2), other(2), request(3, 2, 2), other(1)},
			[][]int{{0, 2}, {1, 3}},
		},
		"requests without rows run alone": {
			Limits{},
			[]tensor.Map{request(1, 1, 2), request(2, 0, 2), request(3, 1, 2)},
			[][]int{{0, 2}, {1}},
		},
		"the default maximum": {
			Limits{},
			[]tensor.Map{request(1, 30, 2), request(2, 2, 2), request(3, 1, 2)},
			[][]int{{0, 1}, {2}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := &engine{}
			b := e.batcher(c.options)
			waiting, release := queue(t, b, t.Context(), c.requests...)
			release()
			for i, in := range c.requests {
				wantAnswer(t, b, waiting[i], in)
			}
			b.Close()
			var got, want []int
			for _, in := range e.runs {
				got = append(got, in["x"].Rows())
			}
			for _, together := range c.want {
				n := 0
				for _, i := range together {
					n += c.requests[i]["x"].Rows()
				}
				want = append(want, n)
			}
			if !slices.Equal(got, want) {
				t.Errorf("runs of %v rows, want %v", got, want)
			}
		})
	}
}

func TestAnIdleEngineRunsTheCallersOwnMemory(t *testing.T) {
	e := &engine{}
	in := request(1, 2, 2)
	if _, _, err := do(t, e.batcher(Limits{}), in, 2); err != nil {
		t.Fatal(err)
	}
	if &e.runs[0]["x"].Data.([]float32)[0] != &in["x"].Data.([]float32)[0] {
		t.Error("the inputs were copied")
	}
}

// On one core no caller ever finds the engine busy.
func TestCallersOnOneCoreRunTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	e := &engine{}
	b := e.batcher(Limits{})
	const callers = 8
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			in := request(float32(i), 1, 2)
			out, _, err := do(t, b, in, 1)
			if err != nil || fmt.Sprint(out["y"].Data) != fmt.Sprint(in["x"].Data) {
				t.Errorf("caller %d: %v, %v", i, out, err)
			}
		})
	}
	group.Wait()
	if n := len(e.runs); n == callers {
		t.Errorf("%d callers ran one by one", n)
	}
}

func TestAppendingToAnAnswerLeavesTheOthers(t *testing.T) {
	e := &engine{}
	b := e.batcher(Limits{})
	first, second := request(1, 1, 2), request(2, 1, 2)
	waiting, release := queue(t, b, t.Context(), first, second)
	release()
	out, _, err := b.Wait(waiting[0])
	if err != nil {
		t.Fatal(err)
	}
	_ = append(out["y"].Data.([]float32), 77, 77)
	wantAnswer(t, b, waiting[1], second)
}

func TestACancelledCallLeavesTheQueue(t *testing.T) {
	e := &engine{}
	b := e.batcher(Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	leaver, release := queue(t, b, ctx, request(1, 2, 2))
	stayer := request(2, 3, 2)
	waiting, releaseToo := queue(t, b, t.Context(), stayer)
	cancel()
	if _, _, err := b.Wait(leaver[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v while the engine is busy, want context.Canceled", err)
	}
	release()
	releaseToo()
	wantAnswer(t, b, waiting[0], stayer)
	b.Close()
	if len(e.runs) != 1 || e.runs[0]["x"].Rows() != 3 || b.Queued != 0 {
		t.Errorf("ran %v, %d rows left in the queue", e.runs, b.Queued)
	}
}

// blocked returns an engine whose runs report their context and then wait to be let on.
func blocked() (e *engine, started chan context.Context, goOn chan struct{}) {
	started, goOn = make(chan context.Context), make(chan struct{})
	return &engine{before: func(ctx context.Context, _ tensor.Map) error {
		started <- ctx
		select {
		case <-goOn:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}, started, goOn
}

func TestARunSurvivesACallerThatLeaves(t *testing.T) {
	e, started, goOn := blocked()
	b := e.batcher(Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	leaver, release := queue(t, b, ctx, request(1, 1, 2))
	stayer := request(2, 1, 2)
	waiting, releaseToo := queue(t, b, t.Context(), stayer)
	release()
	releaseToo()
	running := <-started
	cancel()
	if _, _, err := b.Wait(leaver[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v while the batch ran, want context.Canceled", err)
	}
	if running.Err() != nil {
		t.Error("the run was aborted")
	}
	goOn <- struct{}{}
	wantAnswer(t, b, waiting[0], stayer)
}

func TestARunWithoutCallersIsGivenUp(t *testing.T) {
	e, started, _ := blocked()
	b := e.batcher(Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	waiting, release := queue(t, b, ctx, request(1, 1, 2), request(2, 1, 2))
	release()
	running := <-started
	cancel()
	for _, c := range waiting {
		if _, _, err := b.Wait(c); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	select {
	case <-running.Done():
	case <-time.After(10 * time.Second): // a close would wait for the run for ever
		t.Fatal("nobody waits for the run, and its context was not cancelled")
	}
	b.Close()
}

// A call that waited and then runs alone is read in place: its caller has its memory back
// only when the engine is done.
func TestALoneCallIsEndedByItsContext(t *testing.T) {
	e, started, _ := blocked()
	b := e.batcher(Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	waiting, release := queue(t, b, ctx, request(1, 1, 2))
	release()
	<-started
	cancel()
	if _, _, err := b.Wait(waiting[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestErrorsReachOnlyTheirOwnCaller(t *testing.T) {
	bad := errors.New("a bad row")
	for name, fail := range map[string]func() error{
		"error": func() error { return bad },
		"panic": func() error { panic(bad) },
	} {
		t.Run(name, func(t *testing.T) {
			e := &engine{before: func(_ context.Context, in tensor.Map) error {
				if slices.Contains(in["x"].Data.([]float32), 666) {
					return fail()
				}
				return nil
			}}
			b := e.batcher(Limits{})
			good := []tensor.Map{request(1, 2, 2), request(2, 1, 2), request(3, 3, 2)}
			waiting, release := queue(t, b, t.Context(), good[0], request(666, 2, 2), good[1], good[2])
			release()
			if out, _, err := b.Wait(waiting[1]); err == nil {
				t.Errorf("the bad request was answered %v", out)
			}
			for i, c := range []*Call{waiting[0], waiting[2], waiting[3]} {
				wantAnswer(t, b, c, good[i])
			}
			if _, _, err := do(t, b, request(666, 1, 2), 1); err == nil {
				t.Error("the bad request was answered in its caller's goroutine")
			}
			if _, _, err := do(t, b, good[0], 2); err != nil {
				t.Errorf("a good request afterwards: %v", err)
			}
		})
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	b := (&engine{}).batcher(Limits{QueueRows: 8})
	large := request(1, 20, 2)
	waiting, release := queue(t, b, t.Context(), large)
	if _, _, err := do(t, b, request(2, 1, 2), 1); !errors.Is(err, admission.ErrBusy) {
		t.Errorf("got %v behind a request larger than the queue, want admission.ErrBusy", err)
	}
	release()
	wantAnswer(t, b, waiting[0], large)

	first, second := request(1, 5, 2), request(2, 3, 2)
	waiting, release = queue(t, b, t.Context(), first, second)
	for _, n := range []int{0, 1, 8} {
		if _, _, err := do(t, b, request(3, n, 2), n); !errors.Is(err, admission.ErrBusy) {
			t.Errorf("%d rows more: got %v, want admission.ErrBusy", n, err)
		}
	}
	release()
	wantAnswer(t, b, waiting[0], first)
	wantAnswer(t, b, waiting[1], second)
	if _, _, err := do(t, b, first, 5); err != nil {
		t.Errorf("after the queue was emptied: %v", err)
	}
}

func TestCloseAnswersThoseWhoCame(t *testing.T) {
	for name, o := range map[string]Limits{"no delay": {}, "a long delay": {Delay: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			b := (&engine{}).batcher(o)
			in := request(1, 2, 2)
			waiting, release := queue(t, b, t.Context(), in, in)
			release()
			b.Close()
			b.Close()
			for _, c := range waiting {
				wantAnswer(t, b, c, in)
			}
			if _, _, err := do(t, b, in, 2); !errors.Is(err, admission.ErrClosed) {
				t.Errorf("got %v after close, want admission.ErrClosed", err)
			}
		})
	}
}

func TestMaxDelay(t *testing.T) {
	t.Run("a full batch does not wait", func(t *testing.T) {
		e := &engine{}
		b := e.batcher(Limits{Delay: time.Hour, BatchRows: 6})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, _, err := do(t, b, request(1, 2, 2), 2); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(e.runs) != 1 || e.runs[0]["x"].Rows() != 6 {
			t.Errorf("ran %v, want one run of 6 rows", e.runs)
		}
		if _, _, err := do(t, b, request(1, 6, 2), 6); err != nil {
			t.Error(err)
		}
	})
	t.Run("a lone request waits as long as it must", func(t *testing.T) {
		const delay = 20 * time.Millisecond
		b := (&engine{}).batcher(Limits{Delay: delay})
		for range 3 { // the timer is used again
			start := time.Now()
			if _, _, err := do(t, b, request(1, 1, 2), 1); err != nil {
				t.Error(err)
			}
			if waited := time.Since(start); waited < delay {
				t.Errorf("it waited %v, want %v", waited, delay)
			}
		}
	})
}

func TestInstances(t *testing.T) {
	e, started, goOn := blocked()
	b := e.batcher(Limits{Instances: 2})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, _, err := do(t, b, request(1, 1, 2), 1); err != nil {
				t.Error(err)
			}
		})
	}
	<-started
	<-started // both are under way at once
	close(goOn)
	wg.Wait()
}
