package predict

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// fill reserves and says how it went.
func fill(b *batcher, rows int, bytes int64) (*Reservation, error) {
	r := &Reservation{b: b}
	return r, r.reserve(rows, bytes)
}

func wantBusy(t *testing.T, err error, names string) {
	t.Helper()
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), names) {
		t.Errorf("got %v, want a BusyError naming %q", err, names)
	}
}

func wantPlace(t *testing.T, r *Reservation, err error) *Reservation {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReservationsBoundRowsAndBytes(t *testing.T) {
	b := (&engine{}).batcher(Options{MaxQueueRows: 4, MaxQueueBytes: 100})
	defer b.hold()()
	r, err := fill(b, 3, 60)
	first := wantPlace(t, r, err)
	_, err = fill(b, 2, 1)
	wantBusy(t, err, "the queue is full: 3 rows are waiting (limit 4)")
	_, err = fill(b, 1, 41)
	wantBusy(t, err, "requests of 60 bytes are waiting, and 100 may")
	r, err = fill(b, 0, 10) // no rows take a place too
	second := wantPlace(t, r, err)
	wantBusy(t, second.Grow(31), "bytes")
	wantBusy(t, second.Begin(2), "rows")
	if err := second.Grow(30); err != nil {
		t.Error(err)
	}
	first.Release()
	if err := second.Begin(4); err != nil {
		t.Error(err)
	}
	second.Release()
	second.Release() // does nothing
	if b.coming != 0 || b.working != 0 || b.bytes != 0 {
		t.Errorf("left over: %+v", b.door)
	}
}

func TestAReservationLargerThanTheQueueHasAnEmptyOne(t *testing.T) {
	b := (&engine{}).batcher(Options{MaxQueueRows: 4, MaxQueueBytes: 100})
	defer b.hold()()
	r, err := fill(b, 10, 1000)
	large := wantPlace(t, r, err)
	_, err = fill(b, 1, 1)
	wantBusy(t, err, "rows")
	large.Release()
}

// The queue's rows are those that wait and those that are on their way; those that run have
// left it.
func TestReservationsCountWhatWaits(t *testing.T) {
	b := (&engine{}).batcher(Options{MaxQueueRows: 4})
	r, err := fill(b, 4, 0)
	four := wantPlace(t, r, err)
	r, err = fill(b, 1, 0)
	fifth := wantPlace(t, r, err) // the engine is idle, and will take one at once
	_, err = fill(b, 1, 0)
	wantBusy(t, err, "the queue is full: 5 rows are waiting (limit 4)")
	four.Release()
	fifth.Release()

	in := request(1, 3, 2)
	waiting, release := queue(t, b, t.Context(), in)
	_, err = fill(b, 2, 0)
	wantBusy(t, err, "3 rows are waiting")
	r, err = fill(b, 1, 0)
	wantPlace(t, r, err).Release()
	release()
	wantAnswer(t, b, waiting[0], in)
}

func TestMaxWaitJudgesByTheRowsThatWaitAndThePace(t *testing.T) {
	b := (&engine{}).batcher(Options{MaxWait: time.Second})
	b.pace = pace{busy: time.Second, rows: 4} // 250 ms a row
	r, err := fill(b, 100, 0)
	reading := wantPlace(t, r, err) // may come slowly, and keeps nobody waiting yet
	r, err = fill(b, 4, 0)
	four := wantPlace(t, r, err)
	r, err = fill(b, 1, 0)
	fifth := wantPlace(t, r, err)
	if err := four.Begin(4); err != nil {
		t.Error(err)
	}
	if err := fifth.Begin(1); err != nil { // waits for one second
		t.Error(err)
	}
	wantBusy(t, reading.Begin(100), "5 rows are waiting, which take about 1.25s; a request waits for at most 1s")
	_, err = fill(b, 1, 0)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.RetryAfter != 1250*time.Millisecond {
		t.Errorf("%v, %+v", err, busy)
	}
	four.Release()
	if err := reading.Begin(100); err != nil {
		t.Error(err)
	}
}

func TestPaceForgetsSlowly(t *testing.T) {
	var p pace
	if p.of(10) != 0 {
		t.Error("a pace without rows is known")
	}
	p = pace{busy: 64 * time.Second, rows: 64}
	p.since = time.Now()
	p.add(2, 64)
	if p.rows != 33 || p.of(1) < 900*time.Millisecond {
		t.Errorf("%+v", p)
	}
}

// Whatever callers do, nothing is left behind.
func TestReservationsAddUp(t *testing.T) {
	b := (&engine{}).batcher(Options{MaxQueueRows: 20, MaxQueueBytes: 500, MaxWait: time.Minute})
	var callers sync.WaitGroup
	for seed := range uint64(16) {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			for range 500 {
				rows := 1 + random.IntN(4)
				r, err := fill(b, 1, random.Int64N(50))
				for step := 0; err == nil && step < 2; step++ {
					switch random.IntN(3) {
					case 0:
						err = r.Grow(random.Int64N(30))
					case 1:
						err = r.Begin(rows)
					}
				}
				if err == nil && random.IntN(2) == 0 {
					_, _, err = b.do(t.Context(), r, request(1, rows, 2), rows)
				}
				if err != nil && !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
				r.Release()
			}
		})
	}
	callers.Wait()
	if b.coming != 0 || b.working != 0 || b.bytes != 0 || b.queued != 0 || b.pace.rows == 0 {
		t.Errorf("left over: %+v, %d rows", b.door, b.queued)
	}
}
