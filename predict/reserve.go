package predict

// Places in a model's queue, taken before a request is read or decoded.

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrBusy is what a [*BusyError] is.
var ErrBusy = errors.New("busy")

// BusyError refuses a request that the model has no room for now.
type BusyError struct {
	Reason string
	// RetryAfter is how long those who wait now will take to be answered; 0 where it is not known.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string { return "busy: " + e.Reason }

// Is makes it an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// Reservation is a request's place in a model's queue. It is used by one goroutine at a time,
// not copied once it is in use, and ends with Run or Release.
type Reservation struct {
	b       *batcher
	rows    int
	bytes   int64
	coming  bool // its rows are on their way to the queue
	working bool // it is read, and not yet answered
	keep    bool // its memory is, after Run
}

// Reserve takes a place for a request of which little more than its length may be known:
// a request that finds no room costs nothing but its error, which is a [*BusyError]. Rows and
// bytes count until the request is answered; those that turn out to be more are added later.
func (m *Model) Reserve(rows int, bytes int64) (Reservation, error) {
	r := Reservation{b: m.batcher}
	err := r.reserve(rows, bytes)
	return r, err
}

// Enter takes bytes for a request of which nothing is read yet, where a row would find room. It
// takes no row: a caller that sends nothing keeps no other out. Grow, Begin and Run follow.
func (m *Model) Enter(bytes int64) (Reservation, error) {
	r := Reservation{b: m.batcher}
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	err := r.b.enter(&r, bytes)
	return r, err
}

func (r *Reservation) reserve(rows int, bytes int64) error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	return r.b.reserve(r, rows, bytes)
}

// Grow adds bytes, before they are taken; negative ones are given back.
func (r *Reservation) Grow(bytes int64) error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	return r.b.grow(r, r.bytes+bytes)
}

// Bytes is what is taken for the request now.
func (r *Reservation) Bytes() int64 { return r.bytes }

// Begin says that the request is read and how many rows it has, before its pictures are
// decoded. Run does it for requests that need no such preparation.
func (r *Reservation) Begin(rows int) error { return r.begin(rows, r.bytes) }

func (r *Reservation) begin(rows int, bytes int64) error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	return r.b.begin(r, rows, bytes+int64(rows)*r.b.rowBytes)
}

// Release gives the place back, and all memory. After Run it does nothing unless Keep was called.
func (r *Reservation) Release() {
	if r.rows > 0 || r.bytes > 0 {
		r.b.mu.Lock()
		defer r.b.mu.Unlock()
		r.b.release(r, false)
	}
}

// door is the part of a batcher that counts places; batcher.mu guards it.
type door struct {
	coming  int   // rows that are being read or prepared
	working int   // rows that are read, and not yet answered
	bytes   int64 // of all requests that have a place
	pace    pace
	// rowBytes is what preparing one row takes; 0 but for pictures. outBytes is what its outputs
	// take, as far as their sizes are known.
	rowBytes, outBytes int64
	budget             *Budget
}

// enter is Enter's.
func (b *batcher) enter(r *Reservation, bytes int64) error {
	if err := b.fits(r, 1); err != nil {
		return err
	}
	return b.grow(r, bytes)
}

// grow makes the reservation one of so many bytes.
func (b *batcher) grow(r *Reservation, bytes int64) error {
	if others := b.bytes - r.bytes; bytes > r.bytes && others > 0 && others+bytes > b.queueBytes {
		return b.busy("requests of %d bytes are waiting, and %d may", others, b.queueBytes)
	}
	if err := b.budget.More(r.bytes, bytes-r.bytes); err != nil {
		return err
	}
	b.bytes += bytes - r.bytes
	r.bytes = bytes
	return nil
}

// reserve makes the reservation one of so many rows and bytes. A request that is larger than
// the queue may wait in an empty one: it could never be answered otherwise.
func (b *batcher) reserve(r *Reservation, rows int, bytes int64) error {
	rows = max(1, rows) // even no rows take a place
	if err := b.fits(r, rows); err != nil {
		return err
	}
	if err := b.grow(r, bytes); err != nil {
		return err
	}
	b.coming += rows
	if r.coming {
		b.coming -= r.rows
	}
	if r.working {
		b.working += rows - r.rows
	}
	r.rows, r.coming = rows, true
	return nil
}

// fits fails where so many rows find no room.
func (b *batcher) fits(r *Reservation, rows int) error {
	if b.closed {
		return fmt.Errorf("run model: %w", ErrClosed)
	}
	others := b.queued + b.coming
	if r.coming {
		others -= r.rows
	}
	idle := 0 // instances, to which one row each can come that will not wait
	if b.held == 0 {
		idle = b.instances - b.running
	}
	if others > 0 && others+rows > b.queueRows+idle {
		return b.busy("the queue is full: %d rows are waiting (limit %d)", others, b.queueRows)
	}
	if wait := b.pace.of(b.working); b.maxWait > 0 && !r.working && wait > b.maxWait {
		return b.busy("%d rows are waiting, which take about %s; a request waits for at most %s",
			b.working, wait.Round(time.Millisecond), b.maxWait)
	}
	return nil
}

func (b *batcher) busy(format string, args ...any) error {
	return &BusyError{Reason: fmt.Sprintf(format, args...), RetryAfter: b.pace.of(b.working)}
}

// begin also starts to count the request among those that others wait for.
func (b *batcher) begin(r *Reservation, rows int, bytes int64) error {
	if err := b.reserve(r, rows, bytes); err != nil || r.working {
		return err
	}
	if b.working == 0 {
		b.pace.since = time.Now()
	}
	r.working = true
	b.working += r.rows
	return nil
}

// arrive says that the request's rows are where they were coming to.
func (b *batcher) arrive(r *Reservation) {
	b.coming -= r.rows
	r.coming = false
}

func (b *batcher) release(r *Reservation, ran bool) {
	if r.coming {
		b.coming -= r.rows
	}
	if r.working {
		if b.working -= r.rows; ran {
			b.pace.add(r.rows, 4*b.batchRows)
		}
	}
	if r.keep && ran {
		*r = Reservation{b: b, bytes: r.bytes}
		return
	}
	b.bytes -= r.bytes
	b.budget.Give(r.bytes)
	*r = Reservation{b: b}
}

// Keep keeps the memory of a run that succeeds until Release: for callers that still have the
// answer to write.
func (r *Reservation) Keep() { r.keep = true }

// Run is like [Model.RunTimed], in the reservation's place. m is the model that the place is of, or one
// of its signatures.
func (r *Reservation) Run(ctx context.Context, m *Model, inputs Tensors) (Tensors, Timing, error) {
	rows, err := m.check(inputs)
	if err != nil {
		return nil, Timing{}, inputError{err}
	}
	if err := r.move(m.batcher); err != nil {
		return nil, Timing{}, err
	}
	if bytes := int64(rows) * r.b.outBytes; m.bounds.bytes > 0 && bytes > m.bounds.bytes {
		return nil, Timing{}, m.bounds.tooLarge(bytes)
	}
	return r.b.do(ctx, r, inputs, rows)
}

// move takes the place in the queue to another signature, for a request that named it once it was read.
func (r *Reservation) move(to *batcher) error {
	if r.b == to {
		return nil
	}
	bytes, keep := r.bytes, r.keep
	r.Release()
	*r = Reservation{b: to, keep: keep}
	return r.Grow(bytes)
}

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

// size is the memory that tensors take.
func size(tensors Tensors) int64 {
	var n int64
	for _, t := range tensors {
		n += t.Size()
	}
	return n
}
