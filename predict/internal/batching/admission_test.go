package batching

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/admission"
)

// fill reserves and says how it went.
func fill(b *Batcher, rows int, bytes int64) (*admission.Reservation, error) {
	r := b.Empty()
	return &r, r.Reserve(rows, bytes)
}

func wantBusy(t *testing.T, err error, names string) {
	t.Helper()
	var busy *admission.BusyError
	if !errors.As(err, &busy) || !errors.Is(err, admission.ErrBusy) || !strings.Contains(err.Error(), names) {
		t.Errorf("got %v, want a admission.BusyError naming %q", err, names)
	}
}

func wantPlace(t *testing.T, r *admission.Reservation, err error) *admission.Reservation {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The queue's rows are those that wait and those that are on their way; those that run have
// left it.
func TestReservationsCountWhatWaits(t *testing.T) {
	b := (&engine{}).batcher(Limits{QueueRows: 4})
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

// Whatever callers do, nothing is left behind.
func TestReservationsAddUp(t *testing.T) {
	b := (&engine{}).batcher(Limits{QueueRows: 20, QueueBytes: 500, MaxWait: time.Minute})
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
					_, _, err = b.Do(t.Context(), r, request(1, rows, 2), rows)
				}
				if err != nil && !errors.Is(err, admission.ErrBusy) {
					t.Error(err)
				}
				r.Release()
			}
		})
	}
	callers.Wait()
	if !nothingTaken(b) || b.Queued != 0 || len(b.Stats().Batches) == 0 {
		t.Errorf("left over: %s, %d rows", taken(b), b.Queued)
	}
}
