package predict

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
)

// engine stands for a session: it answers what it was asked, and notes each run's inputs.
// The tests with real engines are in callers_test.go.
type engine struct {
	mu   sync.Mutex
	runs []Tensors
	// before is called in each run; an error ends it.
	before func(ctx context.Context, in Tensors) error
}

func (e *engine) compute(ctx context.Context, in Tensors, n int) (Tensors, error) {
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
	return Tensors{"y": x}, nil
}

func (e *engine) batcher(o Options) *batcher {
	return newBatcher(o.limits(), []string{"x"}, e.compute)
}

// request has rows of so many columns, all with one value.
func request(value float32, rows, columns int) Tensors {
	data := slices.Repeat([]float32{value}, rows*columns)
	return Tensors{"x": {Shape: []int64{int64(rows), int64(columns)}, Data: data}}
}

// queue lets requests wait, as they do while the engine is busy, until release.
func queue(t *testing.T, b *batcher, ctx context.Context, requests ...Tensors) (waiting []*call, release func()) {
	t.Helper()
	release = b.hold()
	for _, in := range requests {
		b.mu.Lock()
		c, err := b.enqueue(ctx, in, in["x"].Rows())
		b.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	return waiting, release
}

func do(t *testing.T, b *batcher, in Tensors, rows int) (Tensors, Timing, error) {
	t.Helper()
	r := Reservation{b: b}
	return b.do(t.Context(), &r, in, rows)
}

func wantAnswer(t *testing.T, b *batcher, c *call, in Tensors) {
	t.Helper()
	want := in["x"]
	out, _, err := b.wait(c)
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
	other := func(rows int) Tensors {
		return Tensors{"x": {Shape: []int64{int64(rows), 2}, Data: make([]int64, 2*rows)}}
	}
	for name, c := range map[string]struct {
		options  Options
		requests []Tensors
		want     [][]int // which requests run together, in which order
	}{
		"rows are counted, not requests": {
			Options{MaxBatchRows: 8},
			[]Tensors{request(1, 3, 2), request(2, 4, 2), request(3, 3, 2), request(4, 1, 2)},
			[][]int{{0, 1}, {2, 3}},
		},
		"a full batch": {
			Options{MaxBatchRows: 4},
			[]Tensors{request(1, 2, 2), request(2, 2, 2), request(3, 2, 2)},
			[][]int{{0, 1}, {2}},
		},
		"a request above the maximum runs alone and whole": {
			Options{MaxBatchRows: 4},
			[]Tensors{request(1, 2, 2), request(2, 9, 2), request(3, 1, 2), request(4, 1, 2)},
			[][]int{{0}, {1}, {2, 3}},
		},
		"a small request does not overtake one that no longer fitted": {
			Options{MaxBatchRows: 4},
			[]Tensors{request(1, 3, 2), request(2, 3, 2), request(3, 1, 2)},
			[][]int{{0}, {1, 2}},
		},
		"batching switched off": {
			Options{MaxBatchRows: 1},
			[]Tensors{request(1, 1, 2), request(2, 1, 2), request(3, 5, 2)},
			[][]int{{0}, {1}, {2}},
		},
		"other widths wait for their own batch": {
			Options{},
			[]Tensors{request(1, 1, 2), request(2, 1, 3), request(3, 2, 2), request(4, 2, 3)},
			[][]int{{0, 2}, {1, 3}},
		},
		"other types wait for their own batch": {
			Options{},
			[]Tensors{request(1, 1, 2), other(2), request(3, 2, 2), other(1)},
			[][]int{{0, 2}, {1, 3}},
		},
		"requests without rows run alone": {
			Options{},
			[]Tensors{request(1, 1, 2), request(2, 0, 2), request(3, 1, 2)},
			[][]int{{0, 2}, {1}},
		},
		"the default maximum": {
			Options{},
			[]Tensors{request(1, 30, 2), request(2, 2, 2), request(3, 1, 2)},
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
			b.close()
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
	if _, _, err := do(t, e.batcher(Options{}), in, 2); err != nil {
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
	b := e.batcher(Options{})
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
	b := e.batcher(Options{})
	first, second := request(1, 1, 2), request(2, 1, 2)
	waiting, release := queue(t, b, t.Context(), first, second)
	release()
	out, _, err := b.wait(waiting[0])
	if err != nil {
		t.Fatal(err)
	}
	_ = append(out["y"].Data.([]float32), 77, 77)
	wantAnswer(t, b, waiting[1], second)
}

func TestACancelledCallLeavesTheQueue(t *testing.T) {
	e := &engine{}
	b := e.batcher(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	leaver, release := queue(t, b, ctx, request(1, 2, 2))
	stayer := request(2, 3, 2)
	waiting, releaseToo := queue(t, b, t.Context(), stayer)
	cancel()
	if _, _, err := b.wait(leaver[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v while the engine is busy, want context.Canceled", err)
	}
	release()
	releaseToo()
	wantAnswer(t, b, waiting[0], stayer)
	b.close()
	if len(e.runs) != 1 || e.runs[0]["x"].Rows() != 3 || b.queued != 0 {
		t.Errorf("ran %v, %d rows left in the queue", e.runs, b.queued)
	}
}

// blocked returns an engine whose runs report their context and then wait to be let on.
func blocked() (e *engine, started chan context.Context, goOn chan struct{}) {
	started, goOn = make(chan context.Context), make(chan struct{})
	return &engine{before: func(ctx context.Context, _ Tensors) error {
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
	b := e.batcher(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	leaver, release := queue(t, b, ctx, request(1, 1, 2))
	stayer := request(2, 1, 2)
	waiting, releaseToo := queue(t, b, t.Context(), stayer)
	release()
	releaseToo()
	running := <-started
	cancel()
	if _, _, err := b.wait(leaver[0]); !errors.Is(err, context.Canceled) {
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
	b := e.batcher(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	waiting, release := queue(t, b, ctx, request(1, 1, 2), request(2, 1, 2))
	release()
	running := <-started
	cancel()
	for _, c := range waiting {
		if _, _, err := b.wait(c); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	select {
	case <-running.Done():
	case <-time.After(10 * time.Second): // a close would wait for the run for ever
		t.Fatal("nobody waits for the run, and its context was not cancelled")
	}
	b.close()
}

// A call that waited and then runs alone is read in place: its caller has its memory back
// only when the engine is done.
func TestALoneCallIsEndedByItsContext(t *testing.T) {
	e, started, _ := blocked()
	b := e.batcher(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	waiting, release := queue(t, b, ctx, request(1, 1, 2))
	release()
	<-started
	cancel()
	if _, _, err := b.wait(waiting[0]); !errors.Is(err, context.Canceled) {
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
			e := &engine{before: func(_ context.Context, in Tensors) error {
				if slices.Contains(in["x"].Data.([]float32), 666) {
					return fail()
				}
				return nil
			}}
			b := e.batcher(Options{})
			good := []Tensors{request(1, 2, 2), request(2, 1, 2), request(3, 3, 2)}
			waiting, release := queue(t, b, t.Context(), good[0], request(666, 2, 2), good[1], good[2])
			release()
			if out, _, err := b.wait(waiting[1]); err == nil {
				t.Errorf("the bad request was answered %v", out)
			}
			for i, c := range []*call{waiting[0], waiting[2], waiting[3]} {
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
	b := (&engine{}).batcher(Options{MaxQueueRows: 8})
	large := request(1, 20, 2)
	waiting, release := queue(t, b, t.Context(), large)
	if _, _, err := do(t, b, request(2, 1, 2), 1); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v behind a request larger than the queue, want ErrBusy", err)
	}
	release()
	wantAnswer(t, b, waiting[0], large)

	first, second := request(1, 5, 2), request(2, 3, 2)
	waiting, release = queue(t, b, t.Context(), first, second)
	for _, n := range []int{0, 1, 8} {
		if _, _, err := do(t, b, request(3, n, 2), n); !errors.Is(err, ErrBusy) {
			t.Errorf("%d rows more: got %v, want ErrBusy", n, err)
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
	for name, o := range map[string]Options{"no delay": {}, "a long delay": {MaxDelay: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			b := (&engine{}).batcher(o)
			in := request(1, 2, 2)
			waiting, release := queue(t, b, t.Context(), in, in)
			release()
			b.close()
			b.close()
			for _, c := range waiting {
				wantAnswer(t, b, c, in)
			}
			if _, _, err := do(t, b, in, 2); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v after close, want ErrClosed", err)
			}
		})
	}
}

func TestMaxDelay(t *testing.T) {
	t.Run("a full batch does not wait", func(t *testing.T) {
		e := &engine{}
		b := e.batcher(Options{MaxDelay: time.Hour, MaxBatchRows: 6})
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
		b := (&engine{}).batcher(Options{MaxDelay: delay})
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
	b := e.batcher(Options{Instances: 2})
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

func TestLimits(t *testing.T) {
	cores := runtime.GOMAXPROCS(0)
	for name, c := range map[string]struct {
		options            Options
		instances, threads int
	}{
		"nothing set":          {Options{}, 1, 0},
		"one thread each":      {Options{Threads: 1}, cores, 1},
		"every core":           {Options{Threads: cores}, 1, cores},
		"more than every core": {Options{Threads: 2 * cores}, 1, 2 * cores},
		"instances":            {Options{Instances: cores}, cores, max(1, cores/max(1, cores))},
		"both":                 {Options{Instances: 3, Threads: 2}, 3, 2},
	} {
		threads := c.threads
		if cores == 1 && c.options.Threads == 0 {
			threads = 0
		}
		l := c.options.limits()
		if l.instances != c.instances || c.options.threads() != threads || l.batchRows != 32 || l.queueRows != 512 {
			t.Errorf("%s: %+v with %d threads, want %d instances with %d", name, l, c.options.threads(), c.instances, threads)
		}
	}
}
