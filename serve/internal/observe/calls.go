package observe

// Counts of one model version.

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stage is a stage of a request.
type Stage int

// The stages, in order.
const (
	Read       Stage = iota // waiting for the body to arrive
	Decode                  // the body to tensors or pixels
	Preprocess              // pixels to the model's input
	Queue                   // waiting for the engine
	Infer                   // the engine's run
	Encode                  // the outputs to an answer
	stages
)

var stageNames = [stages]string{"read", "decode", "preprocess", "queue", "infer", "encode"}

// Calls counts the requests to one version of a model. It is safe for concurrent use.
type Calls struct {
	Name, Version string

	inFlight atomic.Int64
	rows     atomic.Uint64
	outcomes outcomes
	stages   [stages]histogram
}

// outcomes counts requests by protocol. The zero value is empty.
type outcomes struct {
	counts sync.Map // a protocol's key to *counts
}

// counts are those of one protocol.
type counts struct {
	answered atomic.Uint64
	failed   [reasons]atomic.Uint64
	duration histogram // of answered requests
}

// of returns the counts of a protocol. The first request in a protocol allocates them.
func (o *outcomes) of(p *Protocol) *counts {
	if c, ok := o.counts.Load(p.key); ok {
		return c.(*counts)
	}
	kept, _ := o.counts.LoadOrStore(p.key, new(counts))
	return kept.(*counts)
}

// NewCalls returns empty counts for a version.
func NewCalls(name, version string) *Calls {
	return &Calls{Name: name, Version: version}
}

func (c *Calls) took(s Stage, d time.Duration) { c.stages[s].observe(d) }
