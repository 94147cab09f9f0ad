package predict

import (
	"slices"
	"testing"
	"time"
)

func TestTimesOfCallsThatWait(t *testing.T) {
	b := (&engine{}).batcher(Options{MaxQueueRows: 9, Instances: 2})
	m := &Model{batcher: b}
	first, second := request(1, 2, 2), request(2, 3, 2)
	waiting, release := queue(t, b, t.Context(), first, second)
	if s := m.Stats(); s.QueueRows != 5 || s.QueueCalls != 2 || s.MaxQueueRows != 9 || s.Running != 0 || s.Instances != 2 || len(s.Batches) != 0 {
		t.Errorf("while they wait: %+v", s)
	}
	since := waiting[1].since
	release()
	for i, c := range waiting {
		_, took, err := b.wait(c)
		if err != nil || took.BatchRows != 5 || took.Infer <= 0 || took.Queue <= 0 || took.Queue > time.Since(since)+time.Second {
			t.Errorf("call %d: %+v, %v", i, took, err)
		}
	}
	b.close()
	if s := m.Stats(); s.QueueRows != 0 || s.QueueCalls != 0 || s.Running != 0 || len(s.Batches) != 1 || s.Batches[0].Rows != 5 || s.Batches[0].Runs != 1 {
		t.Errorf("afterwards: %+v", s)
	}
}

// Clients choose how many rows they send; they do not choose how much is remembered of it.
func TestBatchSizesAreBounded(t *testing.T) {
	h := history{sizes: map[int]*BatchStats{}}
	for _, rows := range []int{3, 1, 3, 1024, 1025, 2047, 2048, 5000} {
		h.add(rows, time.Duration(rows))
	}
	want := []BatchStats{{1, 1, 1}, {3, 2, 6}, {1024, 3, 1024 + 1025 + 2047}, {2048, 1, 2048}, {4096, 1, 5000}}
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
