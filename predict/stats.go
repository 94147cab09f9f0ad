package predict

// Statistics of calls and runs.

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Timing says where a call's time went; [Model.PrepareTimed] fills the first two,
// [Model.RunTimed] the others.
type Timing struct {
	Decode     time.Duration // raw bytes to pixels, or a JSON row to tensors
	Preprocess time.Duration // pixels to the model's input
	Queue      time.Duration // waiting for the engine
	Infer      time.Duration // the engine's run
	BatchRows  int           // of that run: the call's own and those that ran with them; 0 where there was none
}

// Stats are a model's current state, and its totals since the replay.
type Stats struct {
	QueueRows     int   // waiting
	QueueCalls    int   // that wait, with these rows
	MaxQueueRows  int   // may wait
	QueueBytes    int64 // of all requests that are being read, wait or run
	MaxQueueBytes int64 // may be
	// Wait is the expected wait of a request that arrives now, estimated from recent requests; 0
	// where that is not known. MaxWait is 0 where any time will do.
	Wait, MaxWait time.Duration
	Running       int           // runs under way
	Instances     int           // runs that may be under way at once
	MaxBatchRows  int           // rows of waiting requests that run together, 1 where each request runs alone
	MaxDelay      time.Duration // that a request waits for others to join it while the engine is free
	Batches       []BatchStats  // smallest first
}

// BatchStats counts the runs with a given number of rows. Above 1024, Rows is rounded down to a power
// of two.
type BatchStats struct {
	Rows  int
	Runs  uint64
	Infer time.Duration // what these runs took in all
}

// Stats returns a snapshot. It holds a lock that Run needs, but only briefly.
func (m *Model) Stats() Stats {
	b := m.batcher
	b.mu.Lock()
	s := Stats{
		QueueRows: b.queued, QueueCalls: len(b.queue), MaxQueueRows: b.queueRows,
		QueueBytes: b.bytes, MaxQueueBytes: b.queueBytes,
		Wait: b.pace.of(b.working), MaxWait: b.maxWait, Running: b.running, Instances: b.instances,
		MaxBatchRows: b.batchRows, MaxDelay: b.delay,
	}
	b.mu.Unlock()
	s.Batches = b.history.batches()
	for _, signed := range m.signed {
		s.add(signed.Stats())
	}
	return s
}

// add includes another signature's queue: each has its own.
func (s *Stats) add(o Stats) {
	s.QueueRows += o.QueueRows
	s.QueueCalls += o.QueueCalls
	s.MaxQueueRows += o.MaxQueueRows
	s.QueueBytes += o.QueueBytes
	s.MaxQueueBytes += o.MaxQueueBytes
	s.Wait = max(s.Wait, o.Wait)
	s.Running += o.Running
	s.Instances += o.Instances
	for _, b := range o.Batches {
		i, found := slices.BinarySearchFunc(s.Batches, b, func(a, b BatchStats) int { return cmp.Compare(a.Rows, b.Rows) })
		if !found {
			s.Batches = slices.Insert(s.Batches, i, b)
			continue
		}
		s.Batches[i].Runs += b.Runs
		s.Batches[i].Infer += b.Infer
	}
}

// history is a batcher's runs by their size.
type history struct {
	mu    sync.Mutex
	sizes map[int]*BatchStats
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
		s = &BatchStats{Rows: rows}
		h.sizes[rows] = s
	}
	s.Runs++
	s.Infer += took
}

func (h *history) batches() []BatchStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]BatchStats, 0, len(h.sizes))
	for _, s := range h.sizes {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b BatchStats) int { return cmp.Compare(a.Rows, b.Rows) })
	return list
}

// pace is what the runs so far say of it, as a first guess.
func (h *history) pace() pace {
	var p pace
	for _, s := range h.batches() {
		p.busy += s.Infer
		p.rows += s.Rows * int(s.Runs)
	}
	if most := 8; p.rows > most { // little, so that what callers see soon counts for more
		p.busy, p.rows = p.busy*time.Duration(most)/time.Duration(p.rows), most
	}
	return p
}

// forget starts again, after a replay.
func (h *history) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.sizes)
}
