// Package scavenge returns memory to the system: after the start, and after a flood of requests.
package scavenge

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/forgo-ml/forgo/internal/cmemory"
	"github.com/forgo-ml/forgo/predict"
)

// worthReturning is how much memory requests must have taken for it to be returned at once. Go would keep
// it for minutes.
const worthReturning = 32 << 20

// AfterStart returns what only loading models needed.
func AfterStart() {
	collect()
	unmapUnused()
}

// collect returns all memory that is free.
func collect() {
	runtime.GC() // the first empties pools of buffers by half: what they held is garbage for the second
	debug.FreeOSMemory()
	cmemory.Return()
}

// Watch watches the use of a budget, which may be nil, until ctx ends.
func Watch(ctx context.Context, memory *predict.Budget) {
	if memory == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for high := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		peak, used := memory.Peak(), memory.Used()
		high = max(high, peak)
		if high > worthReturning && peak < high/4 && used < high/4 {
			collect()
			high = used
		}
	}
}
