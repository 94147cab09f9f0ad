package predict

import (
	"context"
	"runtime"
	"sync"

	"github.com/forgo-ml/forgo/predict/internal/batching"
)

// Defaults of Options.
const (
	DefaultMaxBatchRows  = batching.DefaultBatchRows
	DefaultMaxQueueRows  = batching.DefaultQueueRows
	DefaultMaxQueueBytes = batching.DefaultQueueBytes
)

// limits returns the bounds on batches and the queue, with defaults filled in.
func (o Options) limits() batching.Limits {
	l := batching.Limits{
		BatchRows: o.MaxBatchRows, QueueRows: o.MaxQueueRows, QueueBytes: o.MaxQueueBytes, Instances: o.Instances,
		Delay: o.MaxDelay, MaxWait: o.MaxWait, Budget: o.Budget,
	}
	if l.Instances <= 0 && o.Threads > 0 {
		l.Instances = runtime.GOMAXPROCS(0) / o.Threads
	}
	return l.Defaults()
}

// threads returns the number of threads for each run. The instances share the cores.
func (o Options) threads() int {
	if o.Threads <= 0 && o.Instances > 1 {
		return max(1, runtime.GOMAXPROCS(0)/o.Instances)
	}
	return o.Threads
}

// decoders bounds the number of pictures that the process decodes at once to its cores, since pixels take
// far more memory than the rest of a request. Small pictures do not wait for large ones, of which a few
// bytes can take seconds.
var decoders struct{ small, large gate }

// largePicture is a size, in pixels, that pictures for a model rarely exceed.
const largePicture = 2 << 20

// decoder returns the gate for a picture of a size.
func decoder(width, height int) *gate {
	if width > largePicture/height {
		return &decoders.large
	}
	return &decoders.small
}

type gate struct {
	once  sync.Once
	slots chan struct{}
}

func (g *gate) enter(ctx context.Context) error {
	g.once.Do(func() { g.slots = make(chan struct{}, runtime.GOMAXPROCS(0)) })
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() { <-g.slots }
