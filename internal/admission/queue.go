package admission

import (
	"fmt"
	"sync"
	"time"
)

// Queue counts the places in a model's queue: the rows and bytes of requests from before they are read until
// they are answered.
type Queue struct {
	// Mutex guards what follows, and the batches that are formed of the queue: both are decided on one state.
	sync.Mutex

	// MaxRows, MaxBytes and MaxWait bound what waits. With a MaxWait of 0 any time will do. They are set before use.
	MaxRows  int
	MaxBytes int64
	MaxWait  time.Duration
	// RowBytes is what preparing one row takes, 0 but for pictures. OutBytes is what its outputs take, as
	// far as their sizes are known. They are set before use.
	RowBytes, OutBytes int64
	// Budget is shared with other models. Optional.
	Budget *Budget
	// Memory of the pace, in rows: how many count fully. It is set before use.
	PaceRows int
	// Idle is how many more runs may begin, to which a row each can come that will not wait. It needs the
	// lock, and is set before use.
	Idle func() int

	Queued int // rows that wait for a run
	Closed bool

	coming  int   // rows that are being read or prepared
	working int   // rows that are read, and not yet answered
	bytes   int64 // of all requests that have a place
	pace    pace
}

// Reservation is a request's place in a queue. It is used by one goroutine at a time, not copied once it is in
// use, and ends with [Queue.Leave] or Release.
type Reservation struct {
	q       *Queue
	rows    int
	bytes   int64
	coming  bool // its rows are on their way to the queue
	working bool // it is read, and not yet answered
	keep    bool // its memory is, after a run
}

// Empty returns a reservation that has taken nothing yet.
func (q *Queue) Empty() Reservation { return Reservation{q: q} }

// Reserve takes a place for a request of which little more than its length may be known:
// a request that finds no room costs nothing but its error, which is a [*BusyError]. Rows and
// bytes count until the request is answered; those that turn out to be more are added later.
func (q *Queue) Reserve(rows int, bytes int64) (Reservation, error) {
	r := q.Empty()
	err := r.Reserve(rows, bytes)
	return r, err
}

// Enter takes bytes for a request of which nothing is read yet, where a row would find room. It
// takes no row: a caller that sends nothing keeps no other out. Grow and Begin follow.
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

// Reserve makes the reservation one of so many rows and bytes.
func (r *Reservation) Reserve(rows int, bytes int64) error {
	r.q.Lock()
	defer r.q.Unlock()
	return r.q.reserve(r, rows, bytes)
}

// Grow adds bytes, before they are taken; negative ones are given back.
func (r *Reservation) Grow(bytes int64) error {
	r.q.Lock()
	defer r.q.Unlock()
	return r.q.grow(r, r.bytes+bytes)
}

// Bytes is what is taken for the request now.
func (r *Reservation) Bytes() int64 { return r.bytes }

// Begin says that the request is read and how many rows it has, before its pictures are
// decoded. A run does it for requests that need no such preparation.
func (r *Reservation) Begin(rows int) error { return r.BeginWith(rows, r.bytes) }

// BeginWith is Begin of a request that takes so many bytes.
func (r *Reservation) BeginWith(rows int, bytes int64) error {
	r.q.Lock()
	defer r.q.Unlock()
	return r.q.Begin(r, rows, bytes+int64(rows)*r.q.RowBytes)
}

// Keep keeps the memory of a run that succeeds until Release: for callers that still have the
// answer to write.
func (r *Reservation) Keep() { r.keep = true }

// Release gives the place back, and all memory. After a run it does nothing unless Keep was called.
func (r *Reservation) Release() {
	if r.rows > 0 || r.bytes > 0 {
		r.q.Lock()
		defer r.q.Unlock()
		r.q.Leave(r, false)
	}
}

// Move takes the place to another queue, for a request that named its signature once it was read.
func (r *Reservation) Move(to *Queue) error {
	if r.q == to {
		return nil
	}
	bytes, keep := r.bytes, r.keep
	r.Release()
	*r = Reservation{q: to, keep: keep}
	return r.Grow(bytes)
}

// grow makes the reservation one of so many bytes.
func (q *Queue) grow(r *Reservation, bytes int64) error {
	if others := q.bytes - r.bytes; bytes > r.bytes && others > 0 && others+bytes > q.MaxBytes {
		return q.busy("requests of %d bytes are waiting, and %d may", others, q.MaxBytes)
	}
	if err := q.Budget.More(r.bytes, bytes-r.bytes); err != nil {
		return err
	}
	q.bytes += bytes - r.bytes
	r.bytes = bytes
	return nil
}

// reserve makes the reservation one of so many rows and bytes. A request that is larger than
// the queue may wait in an empty one: it could never be answered otherwise.
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

// fits fails where so many rows find no room.
func (q *Queue) fits(r *Reservation, rows int) error {
	if q.Closed {
		return fmt.Errorf("run model: %w", ErrClosed)
	}
	others := q.Queued + q.coming
	if r.coming {
		others -= r.rows
	}
	if others > 0 && others+rows > q.MaxRows+q.Idle() {
		return q.busy("the queue is full: %d rows are waiting (limit %d)", others, q.MaxRows)
	}
	if wait := q.pace.of(q.working); q.MaxWait > 0 && !r.working && wait > q.MaxWait {
		return q.busy("%d rows are waiting, which take about %s; a request waits for at most %s",
			q.working, wait.Round(time.Millisecond), q.MaxWait)
	}
	return nil
}

func (q *Queue) busy(format string, args ...any) error {
	return &BusyError{Reason: fmt.Sprintf(format, args...), RetryAfter: q.pace.of(q.working)}
}

// Begin makes the reservation one of so many rows and bytes, and starts to count the request among those that
// others wait for. It needs the lock.
func (q *Queue) Begin(r *Reservation, rows int, bytes int64) error {
	if err := q.reserve(r, rows, bytes); err != nil || r.working {
		return err
	}
	if q.working == 0 {
		q.pace.since = time.Now()
	}
	r.working = true
	q.working += r.rows
	return nil
}

// Arrive says that the request's rows are where they were coming to. It needs the lock.
func (q *Queue) Arrive(r *Reservation) {
	q.coming -= r.rows
	r.coming = false
}

// Leave ends a request, which ran or did not. It needs the lock.
func (q *Queue) Leave(r *Reservation, ran bool) {
	if r.coming {
		q.coming -= r.rows
	}
	if r.working {
		if q.working -= r.rows; ran {
			q.pace.add(r.rows, q.PaceRows)
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

// Taken is what requests have taken: rows that are coming, rows that others wait for, and bytes. It needs the lock.
func (q *Queue) Taken() (coming, working int, bytes int64) { return q.coming, q.working, q.bytes }

// Wait is how long a request that came now would wait; 0 where that is not known. It needs the lock.
func (q *Queue) Wait() time.Duration { return q.pace.of(q.working) }

// Learn sets how fast requests are answered, as a first guess. It needs the lock.
func (q *Queue) Learn(rows int, took time.Duration) { q.pace = pace{busy: took, rows: rows} }

// pace is how fast requests are answered while there are any.
type pace struct {
	since time.Time     // up to when busy is counted
	busy  time.Duration // while there were any
	rows  int           // answered in that time
}

// add counts rows that were answered now. What happened long before counts less and less:
// half, each time that there are more than so many rows.
func (p *pace) add(rows, most int) {
	now := time.Now()
	p.busy += now.Sub(p.since)
	p.since = now
	if p.rows += rows; p.rows > most {
		p.busy, p.rows = p.busy/2, p.rows/2
	}
}

// of is how long so many rows take; 0 where that is not known.
func (p *pace) of(rows int) time.Duration {
	if p.rows == 0 {
		return 0
	}
	return time.Duration(float64(p.busy) / float64(p.rows) * float64(rows))
}
