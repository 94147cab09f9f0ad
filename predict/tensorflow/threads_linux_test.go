package tensorflow_test

import (
	"os"
	"testing"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// Each session has the threads that it was given, also where an earlier one had fewer.
func TestThreads(t *testing.T) {
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	open(t, graph("affine")) // the process's own threads are there now
	grown := func(n int) int {
		before := threads()
		s, err := tensorflow.Engine().Open(t.Context(), graph("affine"), predict.SessionOptions{Threads: n})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return threads() - before
	}
	if one, nine := grown(1), grown(9); nine-one < 6 { // Go may start one of its own meanwhile
		t.Errorf("a session with Threads: 9 has %d threads more than one with 1, want 8", nine-one)
	}
}
