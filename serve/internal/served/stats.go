package served

// Statistics of a model since it was loaded, for the statistics extension.

import (
	"sync"
	"time"
)

// Duration is how often something happened, and its total duration.
type Duration struct {
	Count uint64        `json:"count"`
	NS    time.Duration `json:"ns"`
}

func (d *Duration) add(took time.Duration) {
	d.Count++
	d.NS += took
}

// Stats holds the counts of a model's calls. [serving.Stats] has those of the engine's runs.
type Stats struct {
	LastInference time.Time
	Inferences    uint64 // rows answered
	Success, Fail Duration
	Input         Duration // decoding and preprocessing
	Queue         Duration // waiting for the engine
	Infer         Duration
	Output        Duration
}

type observation struct {
	rows                               int
	total, input, queue, infer, output time.Duration
	failed                             bool
}

type stats struct {
	mu  sync.Mutex
	sum Stats
}

func (s *stats) add(o observation, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.failed {
		s.sum.Fail.add(o.total)
		return
	}
	s.sum.LastInference = now
	s.sum.Inferences += uint64(max(o.rows, 0))
	s.sum.Success.add(o.total)
	s.sum.Input.add(o.input)
	s.sum.Queue.add(o.queue)
	s.sum.Infer.add(o.infer)
	s.sum.Output.add(o.output)
}

// Calls returns the counts so far.
func (m *Model) Calls() Stats {
	m.stats.mu.Lock()
	defer m.stats.mu.Unlock()
	return m.stats.sum
}
