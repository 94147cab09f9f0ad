package serve

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// worthReturning is how much requests must have taken for their memory to be given back at once:
// Go would keep it for minutes.
const worthReturning = 32 << 20

// settle gives memory back to the system once a flood of requests has ended, until ctx does.
func (s *Server) settle(ctx context.Context) {
	if s.options.Memory == nil {
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
		peak, used := s.options.Memory.Peak(), s.options.Memory.Used()
		high = max(high, peak)
		if high > worthReturning && peak < high/4 && used < high/4 {
			runtime.GC() // the first empties pools of buffers by half: what they held is garbage for the second
			debug.FreeOSMemory()
			high = used
		}
	}
}
