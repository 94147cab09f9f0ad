package batching

// What runs took, for those who watch a model.

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
)

// Stats returns a snapshot.
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

// Settle ends a replay: what its runs took is a first guess for the pace, and no part of the statistics.
func (b *Batcher) Settle() {
	rows, busy := b.history.pace()
	b.Lock()
	b.Learn(rows, busy)
	b.Unlock()
	b.history.forget()
}

// history is a batcher's runs by their size.
type history struct {
	mu    sync.Mutex
	sizes map[int]*serving.BatchStats
}

// exactSizes bounds how many sizes there can be, whatever clients send.
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

// pace is what the runs so far say of it, as a first guess.
func (h *history) pace() (rows int, busy time.Duration) {
	for _, s := range h.batches() {
		busy += s.Infer
		rows += s.Rows * int(s.Runs)
	}
	if most := 8; rows > most { // little, so that what callers see soon counts for more
		busy, rows = busy*time.Duration(most)/time.Duration(rows), most
	}
	return rows, busy
}

// forget starts again, after a replay.
func (h *history) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.sizes)
}
