package serving

import (
	"cmp"
	"slices"
	"time"
)

// Stats describes a model's queue now and its runs since the replay.
type Stats struct {
	QueueRows     int   // waiting
	QueueCalls    int   // that wait, with these rows
	MaxQueueRows  int   // may wait
	QueueBytes    int64 // of all requests that are being read, wait or run
	MaxQueueBytes int64 // may be
	// Wait is how long a new request would wait, at the recent rate of answers, or 0 if that is unknown. A
	// MaxWait of 0 is no limit.
	Wait, MaxWait time.Duration
	Running       int           // runs under way
	Instances     int           // runs that may be under way at once
	MaxBatchRows  int           // rows of waiting requests that run together, 1 where each request runs alone
	MaxDelay      time.Duration // how long a request waits for others while the engine is free
	Batches       []BatchStats  // smallest first
}

// BatchStats counts the runs with a given number of rows. Above 1024, Rows is rounded down to a power of
// two.
type BatchStats struct {
	Rows  int
	Runs  uint64
	Infer time.Duration // what these runs took in all
}

// Add adds the statistics of another signature, which has a queue of its own.
func (s *Stats) Add(o Stats) {
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
