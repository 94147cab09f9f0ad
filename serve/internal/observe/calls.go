package observe

// What is counted of one model version.

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Stage is a part of a request's way.
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

// Calls count what is asked of one version of a model. They are safe for concurrent use.
type Calls struct {
	Name, Version string

	inFlight  atomic.Int64
	rows      atomic.Uint64
	outcomes  outcomes
	durations [protocols]prometheus.Histogram
	stages    [stages]prometheus.Histogram
}

// outcomes count requests by protocol and the reason why they failed.
type outcomes struct {
	answered [protocols]atomic.Uint64
	failed   [protocols][reasons]atomic.Uint64
}

// seconds are the bounds of every histogram of times: a small model's run takes some ten
// microseconds, a large one's in a full queue some seconds.
var seconds = []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// NewCalls returns the counts of a version that nothing was asked of yet.
func NewCalls(name, version string) *Calls {
	c := &Calls{Name: name, Version: version}
	histogram := func(f *family, label, value string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: f.name, Help: f.help, Buckets: seconds,
			ConstLabels: prometheus.Labels{"model": name, "version": version, label: value},
		})
	}
	for p := range c.durations {
		c.durations[p] = histogram(requestSeconds, "protocol", protocolNames[p])
	}
	for s := range c.stages {
		c.stages[s] = histogram(stageSeconds, "stage", stageNames[s])
	}
	return c
}

func (c *Calls) took(s Stage, d time.Duration) { c.stages[s].Observe(d.Seconds()) }
