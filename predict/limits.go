package predict

import (
	"runtime"
	"time"
)

// limits are the parts of Options that bound batches, defaults filled in.
type limits struct {
	batchRows, queueRows, instances int
	delay                           time.Duration
}

// What Options that are 0 mean.
const (
	DefaultMaxBatchRows = 32
	DefaultMaxQueueRows = 512
)

func (o Options) limits() limits {
	l := limits{batchRows: o.MaxBatchRows, queueRows: o.MaxQueueRows, instances: o.Instances, delay: o.MaxDelay}
	if l.batchRows <= 0 {
		l.batchRows = DefaultMaxBatchRows
	}
	if l.queueRows <= 0 {
		l.queueRows = DefaultMaxQueueRows
	}
	if l.instances <= 0 {
		l.instances = 1
		if o.Threads > 0 {
			l.instances = max(1, runtime.GOMAXPROCS(0)/o.Threads)
		}
	}
	return l
}

// threads is what each run gets: the cores are shared between the instances.
func (o Options) threads() int {
	if o.Threads <= 0 && o.Instances > 1 {
		return max(1, runtime.GOMAXPROCS(0)/o.Instances)
	}
	return o.Threads
}
