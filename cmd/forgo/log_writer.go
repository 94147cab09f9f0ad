package main

// Writing the log. Its reader may hang or die, and the server must never wait for it.

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// logRoom is how many bytes of log may wait for the reader; further lines are dropped and counted.
const logRoom = 1 << 20

// logWriter writes lines in a goroutine of its own. Write never waits and never fails.
// It is safe for concurrent use; each Write is one line.
type logWriter struct {
	out io.Writer
	// lost returns the line that reports dropped lines. Optional.
	lost func(lines uint64) []byte

	mu       sync.Mutex
	changed  *sync.Cond
	waiting  bytes.Buffer
	lines    uint64 // waiting
	writing  bool
	closed   bool
	dropped  uint64 // since the start
	reported uint64 // dropped lines that the log has reported
}

func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out}
	w.changed = sync.NewCond(&w.mu)
	go w.run()
	return w
}

func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.waiting.Len()+len(line) > logRoom {
		w.dropped++
		return len(line), nil
	}
	w.waiting.Write(line)
	w.lines++
	w.changed.Broadcast()
	return len(line), nil
}

// Dropped counts the lines that nobody could read.
func (w *logWriter) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Close returns once everything is written, or after patience. Later lines are dropped.
func (w *logWriter) Close(patience time.Duration) {
	timer := time.AfterFunc(patience, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		patience = 0
		w.changed.Broadcast()
	})
	defer timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.changed.Broadcast()
	for (w.writing || w.waiting.Len() > 0) && patience > 0 {
		w.changed.Wait()
	}
}

func (w *logWriter) run() {
	var text bytes.Buffer
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for w.waiting.Len() == 0 && !w.closed {
			w.changed.Wait()
		}
		if w.waiting.Len() == 0 {
			return
		}
		text.Reset()
		_, _ = w.waiting.WriteTo(&text)
		lines := w.lines
		w.lines, w.writing = 0, true
		if news := w.dropped - w.reported; news > 0 && w.lost != nil {
			text.Write(w.lost(news))
			w.reported = w.dropped
		}
		w.mu.Unlock()
		_, err := w.out.Write(text.Bytes())
		w.mu.Lock()
		if w.writing = false; err != nil {
			w.dropped += lines
		}
		w.changed.Broadcast()
	}
}
