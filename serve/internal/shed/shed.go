// Package shed abandons the slowest clients when others need their memory.
package shed

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/predict"
)

// Patient is how long every client may take before it can be abandoned.
const Patient = time.Second

// Worthwhile is the least memory for which a client is abandoned.
const Worthwhile = 64 << 10

// Client is a client that is sending its request or reading its answer.
type Client struct {
	since time.Time
	moved func() int64
	cut   func()
}

// given counts the abandoned clients.
var given atomic.Uint64

// Given returns how many clients the process has abandoned.
func Given() uint64 { return given.Load() }

// clients holds those of the whole process, which share its memory.
var clients struct {
	sync.Mutex
	all map[*Client]struct{}
}

// Begin says that a client is sending or reading. moved returns how many bytes it has moved since; cut
// ends the exchange. Both must be safe for concurrent use and return at once.
func Begin(moved func() int64, cut func()) *Client {
	c := &Client{time.Now(), moved, cut}
	clients.Lock()
	defer clients.Unlock()
	if clients.all == nil {
		clients.all = map[*Client]struct{}{}
	}
	clients.all[c] = struct{}{}
	return c
}

// End says that the client is done. It does nothing for nil.
func (c *Client) End() {
	clients.Lock()
	defer clients.Unlock()
	delete(clients.all, c)
}

// shed abandons the slowest client for the sake of another, and reports whether there was one.
func shed(sake *Client) bool {
	clients.Lock()
	var slowest *Client
	least := 0.0
	for c := range clients.all {
		took := time.Since(c.since)
		if c == sake || took < Patient {
			continue
		}
		if rate := float64(c.moved()) / took.Seconds(); slowest == nil || rate < least {
			slowest, least = c, rate
		}
	}
	delete(clients.all, slowest)
	clients.Unlock()
	if slowest == nil {
		return false
	}
	given.Add(1)
	slowest.cut()
	return true
}

// Within calls take for a client, which may be nil, and retries as long as slower clients can make room.
func Within(sake *Client, take func() error) error {
	err := take()
	for errors.Is(err, predict.ErrBusy) && shed(sake) {
		for range 20 {
			time.Sleep(5 * time.Millisecond)
			if err = take(); !errors.Is(err, predict.ErrBusy) {
				break
			}
		}
	}
	return err
}
