package batching

import (
	"slices"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
)

func TestTimesOfCallsThatWait(t *testing.T) {
	b := (&engine{}).batcher(Limits{QueueRows: 9, Instances: 2})
	first, second := request(1, 2, 2), request(2, 3, 2)
	waiting, release := queue(t, b, t.Context(), first, second)
	if s := b.Stats(); s.QueueRows != 5 || s.QueueCalls != 2 || s.MaxQueueRows != 9 || s.Running != 0 || s.Instances != 2 || len(s.Batches) != 0 {
		t.Errorf("while they wait: %+v", s)
	}
	since := waiting[1].since
	release()
	for i, c := range waiting {
		_, took, err := b.Wait(c)
		if err != nil || took.BatchRows != 5 || took.Infer <= 0 || took.Queue <= 0 || took.Queue > time.Since(since)+time.Second {
			t.Errorf("call %d: %+v, %v", i, took, err)
		}
	}
	b.Close()
	if s := b.Stats(); s.QueueRows != 0 || s.QueueCalls != 0 || s.Running != 0 || len(s.Batches) != 1 || s.Batches[0].Rows != 5 || s.Batches[0].Runs != 1 {
		t.Errorf("afterwards: %+v", s)
	}
}

// Clients choose how many rows they send; they do not choose how much is remembered of it.
func TestBatchSizesAreBounded(t *testing.T) {
	h := history{sizes: map[int]*serving.BatchStats{}}
	for _, rows := range []int{3, 1, 3, 1024, 1025, 2047, 2048, 5000} {
		h.add(rows, time.Duration(rows))
	}
	want := []serving.BatchStats{{Rows: 1, Runs: 1, Infer: 1}, {Rows: 3, Runs: 2, Infer: 6}, {Rows: 1024, Runs: 3, Infer: 1024 + 1025 + 2047}, {Rows: 2048, Runs: 1, Infer: 2048}, {Rows: 4096, Runs: 1, Infer: 5000}}
	if got := h.batches(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for rows := range 1 << 16 {
		h.add(rows, 0)
	}
	if n := len(h.batches()); n > exactSizes+16 {
		t.Errorf("%d sizes", n)
	}
}

// Only the shortest run of the replay decides, since the machine may have disturbed others.
func TestQuickModelsDoNotWaitForBatches(t *testing.T) {
	for name, c := range map[string]struct {
		runs []time.Duration
		want bool
	}{
		"no runs":   {nil, false},
		"quick":     {[]time.Duration{time.Second, handOver / 2, time.Second}, true},
		"not quick": {[]time.Duration{time.Second, handOver, time.Second}, false},
		"long":      {[]time.Duration{time.Millisecond}, false},
	} {
		b := New(Limits{}, nil, nil)
		for _, took := range c.runs {
			b.history.add(1, took)
		}
		if b.Settle(); b.quick != c.want {
			t.Errorf("%s: quick is %v", name, b.quick)
		}
	}
}
