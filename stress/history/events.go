//go:build linux

package main

// What happened, and when: a history can be written to a file, checked again and run again.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// Kind is a kind of event.
type Kind string

// The kinds of events.
const (
	Answer  Kind = "answer"  // a client's request and what came of it
	Ready   Kind = "ready"   // a client asked whether the server is ready
	Write   Kind = "write"   // a content became whole in a version's folder
	Disturb Kind = "disturb" // what lies on disk, or the configuration, is changed
	Load    Kind = "load"    // asked for on the admin port
	Unload  Kind = "unload"
	Down    Kind = "down"  // from a signal that ends the process until the next one is ready
	Fault   Kind = "fault" // the system refuses the process something
	Kill    Kind = "kill"  // an engine's process is killed, until it is gone
	Exact   Kind = "exact" // from End on it is known which version answers what, until something changes
)

// Event is one thing that happened between two times, in nanoseconds since the history began.
type Event struct {
	Kind       Kind   `json:"kind"`
	Start, End int64  //nolint:tagliatelle // short lines
	Operation  string `json:"operation,omitempty"`
	Model      string `json:"model,omitempty"`
	Protocol   string `json:"protocol,omitempty"`
	// Version and Label are those that a request named, or the version that was written.
	Version string `json:"version,omitempty"`
	Label   string `json:"label,omitempty"`
	// Said is the version that an answer names, where its protocol does.
	Said string `json:"said,omitempty"`
	// Content is the number that was written, or that an answer shows; 0 for none.
	Content int `json:"content,omitempty"`
	// Proven says of a content that was written that its golden case holds.
	Proven bool `json:"proven,omitempty"`
	// Status is HTTP's, or the one that a gRPC code stands for; 0 is that no answer came.
	Status int    `json:"status,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Versions and Labels are what Exact knows: contents by version, and versions by label.
	Versions map[string]int    `json:"versions,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

func (e Event) String() string {
	text, _ := json.Marshal(e)
	return fmt.Sprintf("%.3f s to %.3f s: %s", float64(e.Start)/1e9, float64(e.End)/1e9, text)
}

// record is a history as it grows. It is safe for concurrent use.
type record struct {
	began time.Time

	mu     sync.Mutex
	events []Event
}

func newRecord() *record { return &record{began: time.Now()} }

// now is the time of an event.
func (r *record) now() int64 { return time.Since(r.began).Nanoseconds() }

func (r *record) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// all is a copy of what was recorded so far.
func (r *record) all() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// header is the first line of a history's file.
type header struct {
	Seed     uint64        `json:"seed"`
	Seconds  float64       `json:"seconds"`
	Findings []string      `json:"findings"`
	Watch    time.Duration `json:"watch"`
}

// save writes a history, one event a line.
func save(path string, h header, events []Event) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	lines := json.NewEncoder(out)
	if err := lines.Encode(h); err != nil {
		return err
	}
	for _, e := range events {
		if err := lines.Encode(e); err != nil {
			return err
		}
	}
	return out.Flush()
}

// open reads what save has written.
func open(path string) (h header, events []Event, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, nil, err
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(f))
	if err := lines.Decode(&h); err != nil {
		return h, nil, fmt.Errorf("read %s: %w", path, err)
	}
	for lines.More() {
		var e Event
		if err := lines.Decode(&e); err != nil {
			return h, nil, fmt.Errorf("read %s: %w", path, err)
		}
		events = append(events, e)
	}
	return h, events, nil
}
