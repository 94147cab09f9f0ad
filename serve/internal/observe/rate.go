package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// perSecond bounds the refusals that are logged in a second, so that a flood of bad requests does not
	// flood the log. All are counted.
	perSecond   = 100
	longestPath = 200 // bytes of a path in a line
)

// rate limits log lines about refusals.
type rate struct {
	mu      sync.Mutex
	second  int64
	lines   int
	dropped int
}

// allow reports whether to log a refusal, and logs how many were not.
func (r *rate) allow(ctx context.Context, log *slog.Logger) bool {
	now := time.Now().Unix()
	r.mu.Lock()
	dropped := 0
	if now != r.second {
		dropped, r.dropped = r.dropped, 0
		r.second, r.lines = now, 0
	}
	r.lines++
	allowed := r.lines <= perSecond
	if !allowed {
		r.dropped++
	}
	r.mu.Unlock()
	if dropped > 0 {
		log.WarnContext(ctx, "failed requests not logged", "not_logged", dropped, "limit_per_second", perSecond)
	}
	return allowed
}
