package admission

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forgo-ml/forgo/predict/engines"
)

// An eighth of the memory is there only for requests that take little in all.
func TestTheLastEighthIsForSmallRequests(t *testing.T) {
	const max, most = 64 << 20, 56 << 20
	b := NewBudget(max)
	if err := b.Take(most + 1); !errors.Is(err, engines.ErrInput) || !strings.Contains(err.Error(), "(limit for one request: 58720256)") {
		t.Errorf("more than a request may ever take: %v", err)
	}
	if err := b.Take(most); err != nil {
		t.Fatal(err)
	}
	wantBusy(t, b.Take(small+1), "requests hold 58720256 bytes of memory, this one needs 65537 more (limit 58720256)")
	wantBusy(t, b.More(small, 1), "this one needs 1 more")
	taken := 0
	for b.More(small-1, 1) == nil { // of one who has taken a little already
		if taken++; taken > 1 {
			break
		}
	}
	for b.Take(small) == nil {
		taken++
	}
	if got := b.Used(); got <= max-small || got > max || taken < 127 {
		t.Errorf("%d small requests take all up to %d of %d bytes", taken, got, max)
	}
	wantBusy(t, b.Take(small), "(limit 67108864)")
	b.Give(most)
	if err := b.Take(1 << 20); err != nil {
		t.Errorf("once it is given back: %v", err)
	}
}

// Whoever waits for memory gets it once it is given back, and hears at once what no wait would change.
func TestWaitsForMemory(t *testing.T) {
	const max = 64 << 20
	synctest.Test(t, func(t *testing.T) {
		b, began := NewBudget(max), time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Wait(ctx, max); !errors.Is(err, engines.ErrInput) || time.Since(began) != 0 {
			t.Errorf("more than there is: %v after %v", err, time.Since(began))
		}
		if err := b.Wait(ctx, max/2); err != nil || time.Since(began) != 0 {
			t.Errorf("what is there: %v after %v", err, time.Since(began))
		}
		go func() {
			time.Sleep(time.Second)
			b.GiveBack(max / 2)
		}()
		if err := b.Wait(ctx, max/2); err != nil || time.Since(began) < time.Second || time.Since(began) > 1100*time.Millisecond {
			t.Errorf("what is given back after a second: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		wantBusy(t, b.Wait(ctx, max/2), "bytes of memory")
		if took := time.Since(began); took < waitForMemory || took > waitForMemory+100*time.Millisecond {
			t.Errorf("what is not given back: after %v", took)
		}
		soon, cancelSoon := context.WithTimeout(ctx, time.Second)
		defer cancelSoon()
		if err := b.Wait(soon, max/2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("for one who leaves: %v", err)
		}
		if got := b.Used(); got != max/2 {
			t.Errorf("%d bytes are taken", got)
		}
	})
}

// Memory that pictures gave back is collected when it and what is in use would exceed the budget, not before.
func TestGarbageOfPicturesIsCollectedInTime(t *testing.T) {
	const max = 160 << 20
	b := NewBudget(max)
	collections := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumForcedGC
	}
	picture := func(bytes int64) {
		t.Helper()
		if err := b.Take(bytes); err != nil {
			t.Fatal(err)
		}
		b.GiveBack(bytes)
	}
	before := collections()
	for range 5 {
		picture(32 << 20)
	}
	picture(large - 1)
	if n := collections() - before; n != 1 {
		t.Errorf("%d collections for garbage as large as the budget, want 1 for what came after it", n)
	}
	if n := b.garbage.Load(); n != 0 {
		t.Errorf("%d bytes count as garbage after a collection", n)
	}
	for range 4 {
		picture(32 << 20)
	}
	if n := collections() - before; n != 1 {
		t.Errorf("%d collections, want 1 while there is room", n)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _ = b.Take(4 << 20) })
	}
	all.Wait()
	if err := b.Take(4 << 20); err != nil {
		t.Error(err)
	}
	if n := collections() - before; n != 2 {
		t.Errorf("%d collections, want 2: callers at once share one", n)
	}
}
