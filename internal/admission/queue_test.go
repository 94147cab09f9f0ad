package admission

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// queue has no run that may begin, so that everything waits.
func queue(rows int, bytes int64) *Queue {
	return &Queue{MaxRows: rows, MaxBytes: bytes, RateRows: 128, Idle: func() int { return 0 }}
}

// fill reserves and says how it went.
func fill(q *Queue, rows int, bytes int64) (*Reservation, error) {
	r := q.Empty()
	return &r, r.Reserve(rows, bytes)
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
	q := queue(4, 100)
	r, err := fill(q, 3, 60)
	first := wantPlace(t, r, err)
	_, err = fill(q, 2, 1)
	wantBusy(t, err, "the queue is full: 3 rows are waiting (limit 4)")
	_, err = fill(q, 1, 41)
	wantBusy(t, err, "the queue is full: requests of 60 bytes are waiting (limit 100)")
	r, err = fill(q, 0, 10) // no rows take a place too
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
	if q.coming != 0 || q.working != 0 || q.bytes != 0 {
		t.Errorf("left over: %+v", q.rate)
	}
}

func TestAReservationLargerThanTheQueueHasAnEmptyOne(t *testing.T) {
	q := queue(4, 100)
	r, err := fill(q, 10, 1000)
	large := wantPlace(t, r, err)
	_, err = fill(q, 1, 1)
	wantBusy(t, err, "rows")
	large.Release()
}

// A request that is not yet read reserves its bytes, and the place for a row only when it begins.
func TestEnterTakesBytesAndNoRow(t *testing.T) {
	q := queue(1, 100)
	first, err := q.Enter(60)
	if err != nil || first.Bytes() != 60 || q.bytes != 60 || q.coming != 0 {
		t.Fatalf("%v: %+v", err, q.rate)
	}
	_, err = q.Enter(41)
	wantBusy(t, err, "the queue is full: requests of 60 bytes are waiting (limit 100)")
	second, err := q.Enter(40)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Begin(1); err != nil {
		t.Error(err)
	}
	_, err = q.Enter(0)
	wantBusy(t, err, "the queue is full: 1 rows are waiting (limit 1)")
	wantBusy(t, second.Begin(1), "rows")
	second.Release()
	if err := first.Grow(100); err != nil { // alone, it may be larger than the queue
		t.Error(err)
	}
	none := q.Empty()
	if err := none.Grow(0); err != nil {
		t.Errorf("no more bytes than before: %v", err)
	}
	wantBusy(t, none.Grow(1), "bytes")
	first.Release()
	if q.coming != 0 || q.bytes != 0 {
		t.Errorf("left over: %d rows, %d bytes", q.coming, q.bytes)
	}
}

func TestMaxWaitJudgesByTheRowsThatWaitAndThePace(t *testing.T) {
	q := queue(512, 1<<20)
	q.MaxWait = time.Second
	q.rate = rate{busy: time.Second, rows: 4} // 250 ms a row
	r, err := fill(q, 100, 0)
	reading := wantPlace(t, r, err) // may come slowly, and keeps nobody waiting yet
	r, err = fill(q, 4, 0)
	four := wantPlace(t, r, err)
	r, err = fill(q, 1, 0)
	fifth := wantPlace(t, r, err)
	if err := four.Begin(4); err != nil {
		t.Error(err)
	}
	if err := fifth.Begin(1); err != nil { // waits for one second
		t.Error(err)
	}
	wantBusy(t, reading.Begin(100), "5 rows are waiting, which take about 1.25s; a request waits for at most 1s")
	_, err = fill(q, 1, 0)
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
	var p rate
	if p.of(10) != 0 {
		t.Error("a rate without rows is known")
	}
	p = rate{busy: 64 * time.Second, rows: 64}
	p.since = time.Now()
	p.add(2, 64, time.Now())
	if p.rows != 33 || p.of(1) < 900*time.Millisecond {
		t.Errorf("%+v", p)
	}
}
