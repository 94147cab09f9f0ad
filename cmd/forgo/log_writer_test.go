package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// stuckWriter is a reader that does not read until it is let.
type stuckWriter struct {
	mu   sync.Mutex
	let  chan struct{}
	text bytes.Buffer
	err  error
}

func (s *stuckWriter) Write(b []byte) (int, error) {
	<-s.let
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	return len(b), s.err
}

func TestLogOfAStuckReader(t *testing.T) {
	stuck := &stuckWriter{let: make(chan struct{})}
	w := newLogWriter(stuck)
	w.lost = func(lines uint64) []byte { return fmt.Appendf(nil, "%d lost\n", lines) }
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const lines = 4 * logRoom / 1024
	for range lines { // which would wait for ever
		if n, err := w.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if d := w.Dropped(); d < lines/2 || d >= lines {
		t.Errorf("%d of %d lines dropped", d, lines)
	}
	start := time.Now()
	w.Close(50 * time.Millisecond)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("closing took %s", took)
	}
	close(stuck.let)
	w.Close(10 * time.Second)
	var kept, reported uint64
	for text := range strings.Lines(stuck.text.String()) {
		var n uint64
		if _, err := fmt.Sscanf(text, "%d lost", &n); err == nil {
			reported += n
		} else {
			kept++
		}
	}
	if kept+w.Dropped() != lines || reported != w.Dropped() {
		t.Errorf("%d lines were kept, %d dropped and %d said to be, of %d", kept, w.Dropped(), reported, lines)
	}
}

func TestLogOfADeadReader(t *testing.T) {
	dead := &stuckWriter{let: make(chan struct{}), err: errors.New("broken pipe")}
	close(dead.let)
	w := newLogWriter(dead)
	for range 10 {
		_, _ = w.Write([]byte("line\n"))
	}
	w.Close(10 * time.Second)
	if w.Dropped() != 10 {
		t.Errorf("%d lines dropped, want 10", w.Dropped())
	}
}

func TestLogIsWrittenInOrder(t *testing.T) {
	var out bytes.Buffer
	w := newLogWriter(&out)
	var want bytes.Buffer
	for i := range 1000 {
		fmt.Fprintln(&want, i)
		fmt.Fprintln(w, i)
	}
	w.Close(10 * time.Second)
	if out.String() != want.String() || w.Dropped() != 0 {
		t.Errorf("%d dropped; %s", w.Dropped(), &out)
	}
}
