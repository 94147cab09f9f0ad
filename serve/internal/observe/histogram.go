package observe

// Histograms of durations.

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// bounds are the bucket bounds of every histogram. A small model's run takes some microseconds; a large
// model's, in a full queue, some seconds.
var bounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// histogram counts durations. The zero value is empty. A request observes half a dozen, so one observation
// is two atomic additions, where Prometheus's own histogram, of floats, needs several times as long.
type histogram struct {
	counts [len(bounds) + 1]atomic.Uint64 // by bucket, not cumulative
	sum    atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// collect sends the histogram, unless it is empty, which would be some twenty zeros.
func (h *histogram) collect(out chan<- prometheus.Metric, f *family, labels ...string) {
	buckets := make(map[float64]uint64, len(bounds))
	total := uint64(0)
	for i := range h.counts {
		total += h.counts[i].Load()
		if i < len(bounds) {
			buckets[bounds[i].Seconds()] = total
		}
	}
	if total > 0 {
		sum := time.Duration(h.sum.Load()).Seconds()
		out <- prometheus.MustNewConstHistogram(f.desc, total, sum, buckets, labels...)
	}
}
