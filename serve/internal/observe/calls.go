package observe

// Counts of one model version.

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	stages   [stages]prometheus.Histogram
}

// outcomes counts requests by protocol. The zero value is empty.
type outcomes struct {
	durations func(protocol string) prometheus.Histogram // nil: none are kept
	counts    sync.Map                                   // a protocol's key to *counts
}

// counts are those of one protocol.
type counts struct {
	answered atomic.Uint64
	failed   [reasons]atomic.Uint64
	duration prometheus.Histogram // nil: it is not kept
}

// of returns the counts of a protocol. The first request in a protocol allocates them.
func (o *outcomes) of(p *Protocol) *counts {
	if c, ok := o.counts.Load(p.key); ok {
		return c.(*counts)
	}
	c := new(counts)
	if o.durations != nil {
		c.duration = o.durations(p.Name)
	}
	kept, _ := o.counts.LoadOrStore(p.key, c)
	return kept.(*counts)
}

// seconds are the bucket bounds of every histogram of times. A small model's run takes some ten
// microseconds; a large model's, in a full queue, some seconds.
var seconds = []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// NewCalls returns empty counts for a version.
func NewCalls(name, version string) *Calls {
	c := &Calls{Name: name, Version: version}
	histogram := func(f *family, label, value string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: f.name, Help: f.help, Buckets: seconds,
			ConstLabels: prometheus.Labels{"model": name, "version": version, label: value},
		})
	}
	c.outcomes.durations = func(protocol string) prometheus.Histogram { return histogram(requestSeconds, "protocol", protocol) }
	for s := range c.stages {
		c.stages[s] = histogram(stageSeconds, "stage", stageNames[s])
	}
	return c
}

func (c *Calls) took(s Stage, d time.Duration) { c.stages[s].Observe(d.Seconds()) }
