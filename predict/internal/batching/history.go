package batching

// Durations of runs, for statistics.

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
)

// Stats returns a snapshot of the statistics.
func (b *Batcher) Stats() serving.Stats {
	b.Lock()
	_, _, bytes := b.Taken()
	s := serving.Stats{
		QueueRows: b.Queued, QueueCalls: len(b.queue), MaxQueueRows: b.MaxRows,
		QueueBytes: bytes, MaxQueueBytes: b.MaxBytes,
		Wait: b.Queue.Wait(), MaxWait: b.MaxWait, Running: b.running, Instances: b.limits.Instances,
		MaxBatchRows: b.limits.BatchRows, MaxDelay: b.limits.Delay,
	}
	b.Unlock()
	s.Batches = b.history.batches()
	return s
}

// handOver is about what a batch costs each caller: it waits in another goroutine's queue, and is woken.
const handOver = 10 * time.Microsecond

// Settle ends a replay. The replay's runs become the first estimate of the rate, and do not count in the
// statistics. The shortest of them decides whether batches pay.
func (b *Batcher) Settle() {
	rows, busy := b.history.rate()
	b.Lock()
	b.Learn(rows, busy)
	least := b.history.shortest()
	b.quick = least > 0 && least < handOver
	b.Unlock()
	b.history.forget()
}

// history counts a batcher's runs by size.
type history struct {
	mu    sync.Mutex
	sizes map[int]*serving.BatchStats
	least time.Duration // that a run took; 0 before the first
}

// shortest returns the duration of the shortest run, which is the least disturbed one.
func (h *history) shortest() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.least
}

// exactSizes bounds the number of distinct sizes, whatever clients send.
const exactSizes = 1024

func (h *history) add(rows int, took time.Duration) {
	if rows > exactSizes {
		rows = 1 << (bits.Len(uint(rows)) - 1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sizes[rows]
	if s == nil {
		s = &serving.BatchStats{Rows: rows}
		h.sizes[rows] = s
	}
	s.Runs++
	s.Infer += took
	if h.least == 0 || took < h.least {
		h.least = took
	}
}

func (h *history) batches() []serving.BatchStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]serving.BatchStats, 0, len(h.sizes))
	for _, s := range h.sizes {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b serving.BatchStats) int { return cmp.Compare(a.Rows, b.Rows) })
	return list
}

// rate returns the first estimate of the rate, from the runs so far.
func (h *history) rate() (rows int, busy time.Duration) {
	for _, s := range h.batches() {
		busy += s.Infer
		rows += s.Rows * int(s.Runs)
	}
	if most := 8; rows > most { // little, so that what callers see soon counts for more
		busy, rows = busy*time.Duration(most)/time.Duration(rows), most
	}
	return rows, busy
}

// forget clears the history after a replay.
func (h *history) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.sizes)
}
