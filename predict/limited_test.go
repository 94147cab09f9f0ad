package predict

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict/internal/batching"
)

func TestLimited(t *testing.T) {
	late := func(err error) bool { return errors.As(err, new(batching.ErrRun)) }
	t.Run("by asking", func(t *testing.T) {
		l := limit(t.Context(), time.Millisecond)
		defer l.stop()
		for deadline := time.Now().Add(time.Minute); l.Err() == nil; {
			if time.Now().After(deadline) {
				t.Fatal("the run does not end")
			}
		}
		if err := l.worded(l.Err()); !late(err) || !errors.Is(err, context.DeadlineExceeded) || l.timed.Load() != nil {
			t.Errorf("%v, timer %v", err, l.timed.Load())
		}
		<-l.Done()
	})
	t.Run("by its channel", func(t *testing.T) {
		l := limit(t.Context(), time.Millisecond)
		defer l.stop()
		<-l.Done()
		if err := l.worded(l.Err()); !late(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	t.Run("by a context below it", func(t *testing.T) {
		l := limit(t.Context(), time.Millisecond)
		defer l.stop()
		below, cancel := context.WithCancel(l)
		defer cancel()
		<-below.Done()
		if cause := context.Cause(below); !late(cause) {
			t.Error(cause)
		}
	})
	for name, ask := range map[string]func(*limited){"by its parent": func(*limited) {}, "by its parent, with a timer": func(l *limited) { l.Done() }} {
		t.Run(name, func(t *testing.T) {
			parent, cancel := context.WithCancel(t.Context())
			l := limit(parent, time.Hour)
			defer l.stop()
			ask(l)
			if l.Err() != nil {
				t.Error(l.Err())
			}
			cancel()
			<-l.Done()
			if err := l.worded(l.Err()); late(err) || !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	if err := limit(t.Context(), 0).worded(nil); err != nil {
		t.Error(err)
	}
	earlier, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want, _ := earlier.Deadline()
	if got, ok := limit(earlier, time.Hour).Deadline(); !ok || !got.Equal(want) {
		t.Errorf("deadline %v, want the parent's %v", got, want)
	}
}
