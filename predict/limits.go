package predict

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// limits are the parts of Options that bound batches, defaults filled in.
type limits struct {
	batchRows, queueRows, instances int
	queueBytes                      int64
	delay, maxWait                  time.Duration
}

// What Options that are 0 mean.
const (
	DefaultMaxBatchRows  = 32
	DefaultMaxQueueRows  = 512
	DefaultMaxQueueBytes = 1 << 30
)

func (o Options) limits() limits {
	l := limits{
		batchRows: o.MaxBatchRows, queueRows: o.MaxQueueRows, queueBytes: o.MaxQueueBytes, instances: o.Instances,
		delay: o.MaxDelay, maxWait: o.MaxWait,
	}
	if l.batchRows <= 0 {
		l.batchRows = DefaultMaxBatchRows
	}
	if l.queueRows <= 0 {
		l.queueRows = DefaultMaxQueueRows
	}
	if l.queueBytes <= 0 {
		l.queueBytes = DefaultMaxQueueBytes
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

// decoders bounds how many pictures of the process are pixels at once, to as many as it may run
// at once: pixels take far more memory than anything else of a request. Small pictures do not wait
// for large ones, of which few bytes can take seconds.
var decoders struct{ small, large gate }

// largePicture is more pixels than pictures for a model usually have.
const largePicture = 2 << 20

// decoder is the gate for a picture of a size.
func decoder(width, height int) *gate {
	if width > largePicture/height {
		return &decoders.large
	}
	return &decoders.small
}

type gate struct {
	once   sync.Once
	places chan struct{}
}

func (g *gate) enter(ctx context.Context) error {
	g.once.Do(func() { g.places = make(chan struct{}, runtime.GOMAXPROCS(0)) })
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case g.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() { <-g.places }
