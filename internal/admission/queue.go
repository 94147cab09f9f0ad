package admission

import (
	"fmt"
	"sync"
	"time"
)

// Queue counts the rows and bytes of a model's requests, from before they are read until they are
// answered.
type Queue struct {
	// Mutex guards the fields below and the batches that are formed from the queue, so that both see the
	// same state.
	sync.Mutex

	// MaxRows, MaxBytes and MaxWait bound what waits. A MaxWait of 0 is no bound. Set them before use.
	MaxRows  int
	MaxBytes int64
	MaxWait  time.Duration
	// RowBytes is the memory for preparing one row, or 0 except for pictures. OutBytes is the memory of a
	// row's outputs, if their sizes are known. Set them before use.
	RowBytes, OutBytes int64
	// Budget bounds several models together. Optional.
	Budget *Budget
	// RateRows is the number of recent rows that determine the rate. Set it before use.
	RateRows int
	// Idle returns how many more runs may start. Each takes a row that does not wait. The queue
	// calls it with the lock held. Set it before use.
	Idle func() int

	Queued int // rows that wait for a run
	Closed bool

	coming  int   // rows that are being read or prepared
	working int   // rows that are read, and not yet answered
	bytes   int64 // of all requests with a reservation
	rate    rate
}

// Reservation is a request's place in a queue. It is for one goroutine at a time, must not be copied after
// first use, and ends with [Queue.Leave] or Release.
type Reservation struct {
	q       *Queue
	rows    int
	bytes   int64
	coming  bool // its rows are on their way to the queue
	working bool // it was read and is not yet answered
	keep    bool // its memory stays reserved after a run
}

// Empty returns a reservation of nothing.
func (q *Queue) Empty() Reservation { return Reservation{q: q} }

// Reserve takes a place for a request before it is read. A request that finds no room costs only its
// error, which is a [*BusyError]. rows and bytes count until the request is answered; the caller adds what
// turns out to be more.
func (q *Queue) Reserve(rows int, bytes int64) (Reservation, error) {
	r := q.Empty()
	err := r.Reserve(rows, bytes)
	return r, err
}

// Enter takes bytes for a request before it is read, if the queue has room for a row. It takes no row, so
// that a caller that sends nothing keeps nobody out. Grow and Begin follow.
func (q *Queue) Enter(bytes int64) (Reservation, error) {
	r := q.Empty()
	q.Lock()
	defer q.Unlock()
	err := q.fits(&r, 1)
	if err == nil {
		err = q.grow(&r, bytes)
	}
	return r, err
}

// Reserve changes the reservation to the given rows and bytes.
func (r *Reservation) Reserve(rows int, bytes int64) error {
	r.q.Lock()
	defer r.q.Unlock()
	return r.q.reserve(r, rows, bytes)
}

// Grow adds bytes to the reservation before they are used. A negative number returns them.
func (r *Reservation) Grow(bytes int64) error {
	r.q.Lock()
	defer r.q.Unlock()
	return r.q.grow(r, r.bytes+bytes)
}

// Bytes returns the number of bytes in the reservation.
func (r *Reservation) Bytes() int64 { return r.bytes }

// Begin sets the number of rows once the request is read, before its pictures are decoded. Run calls it
// for requests without pictures.
func (r *Reservation) Begin(rows int) error { return r.BeginWith(rows, r.bytes) }

// BeginWith is Begin for a request that takes the given bytes.
func (r *Reservation) BeginWith(rows int, bytes int64) error {
	r.q.Lock()
	defer r.q.Unlock()
	return r.q.Begin(r, rows, bytes+int64(rows)*r.q.RowBytes, time.Now())
}

// Keep makes the memory of a successful run last until Release, for callers that have yet to write the
// answer.
func (r *Reservation) Keep() { r.keep = true }

// Release ends the reservation and returns its memory. After a run it does nothing unless Keep was called.
func (r *Reservation) Release() {
	if r.rows > 0 || r.bytes > 0 {
		r.q.Lock()
		defer r.q.Unlock()
		r.q.Leave(r, false, time.Time{})
	}
}

// Move moves the reservation to another queue, for a request that turns out to name another signature.
func (r *Reservation) Move(to *Queue) error {
	if r.q == to {
		return nil
	}
	bytes, keep := r.bytes, r.keep
	r.Release()
	*r = Reservation{q: to, keep: keep}
	return r.Grow(bytes)
}

// grow changes the reservation to the given bytes.
func (q *Queue) grow(r *Reservation, bytes int64) error {
	if others := q.bytes - r.bytes; bytes > r.bytes && others > 0 && others+bytes > q.MaxBytes {
		return q.busy("the queue is full: requests of %d bytes are waiting (limit %d)", others, q.MaxBytes)
	}
	if err := q.Budget.More(r.bytes, bytes-r.bytes); err != nil {
		return err
	}
	q.bytes += bytes - r.bytes
	r.bytes = bytes
	return nil
}

// reserve changes the reservation to the given rows and bytes. A request larger than the queue may wait in
// an empty one, since it could otherwise never run.
func (q *Queue) reserve(r *Reservation, rows int, bytes int64) error {
	rows = max(1, rows) // even no rows take a place
	if err := q.fits(r, rows); err != nil {
		return err
	}
	if err := q.grow(r, bytes); err != nil {
		return err
	}
	q.coming += rows
	if r.coming {
		q.coming -= r.rows
	}
	if r.working {
		q.working += rows - r.rows
	}
	r.rows, r.coming = rows, true
	return nil
}

// fits returns an error if the queue has no room for the rows.
func (q *Queue) fits(r *Reservation, rows int) error {
	if q.Closed {
		return fmt.Errorf("run model: %w", ErrClosed)
	}
	others := q.Queued + q.coming
	if r.coming {
		others -= r.rows
	}
	if others > 0 && others+rows > q.MaxRows && others+rows > q.MaxRows+q.Idle() {
		return q.busy("the queue is full: %d rows are waiting (limit %d)", others, q.MaxRows)
	}
	if q.MaxWait > 0 && !r.working {
		if wait := q.rate.of(q.working); wait > q.MaxWait {
			return q.busy("%d rows are waiting, which take about %s; a request waits for at most %s",
				q.working, wait.Round(time.Millisecond), q.MaxWait)
		}
	}
	return nil
}

func (q *Queue) busy(format string, args ...any) error {
	return &BusyError{Reason: fmt.Sprintf(format, args...), RetryAfter: q.rate.of(q.working)}
}

// Begin changes the reservation to the given rows and bytes, and counts the request among those that
// others wait for, from now on. The caller holds the lock.
func (q *Queue) Begin(r *Reservation, rows int, bytes int64, now time.Time) error {
	if err := q.reserve(r, rows, bytes); err != nil || r.working {
		return err
	}
	if q.working == 0 {
		q.rate.since = now
	}
	r.working = true
	q.working += r.rows
	return nil
}

// Arrive says that the request's rows have arrived. The caller holds the lock.
func (q *Queue) Arrive(r *Reservation) {
	q.coming -= r.rows
	r.coming = false
}

// Leave ends a request. ran says whether it ran, until now. The caller holds the lock.
func (q *Queue) Leave(r *Reservation, ran bool, now time.Time) {
	if r.coming {
		q.coming -= r.rows
	}
	if r.working {
		if q.working -= r.rows; ran {
			q.rate.add(r.rows, q.RateRows, now)
		}
	}
	if r.keep && ran {
		*r = Reservation{q: q, bytes: r.bytes}
		return
	}
	q.bytes -= r.bytes
	q.Budget.Give(r.bytes)
	*r = Reservation{q: q}
}

// Taken returns the rows that are still being read, the rows that others wait for, and the bytes of all
// requests. The caller holds the lock.
func (q *Queue) Taken() (coming, working int, bytes int64) { return q.coming, q.working, q.bytes }

// Wait returns how long a new request would wait, or 0 if that is unknown. The caller holds the lock.
func (q *Queue) Wait() time.Duration { return q.rate.of(q.working) }

// Learn sets the first estimate of the rate. The caller holds the lock.
func (q *Queue) Learn(rows int, took time.Duration) { q.rate = rate{busy: took, rows: rows} }

// rate is the rate of answers while there are requests.
type rate struct {
	since time.Time     // up to when busy is counted
	busy  time.Duration // while there were any
	rows  int           // answered in that time
}

// add counts rows that were answered now. It halves the weight of the past whenever that exceeds most
// rows.
func (p *rate) add(rows, most int, now time.Time) {
	p.busy += now.Sub(p.since)
	p.since = now
	if p.rows += rows; p.rows > most {
		p.busy, p.rows = p.busy/2, p.rows/2
	}
}

// of returns how long the rows take, or 0 if that is unknown.
func (p *rate) of(rows int) time.Duration {
	if p.rows == 0 {
		return 0
	}
	return time.Duration(float64(p.busy) / float64(p.rows) * float64(rows))
}
