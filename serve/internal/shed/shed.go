// Package shed gives up the slowest clients where others need the memory that they hold.
package shed

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forgo-ml/forgo/predict"
)

// Patient is how long every client may take before it can be given up.
const Patient = time.Second

// Worthwhile is how much memory a client must hold to be given up for it.
const Worthwhile = 64 << 10

// Client is one whose turn it is: to send what it has begun to send, or to take its answer.
type Client struct {
	since time.Time
	moved func() int64
	cut   func()
}

// given counts the clients that were given up.
var given atomic.Uint64

// Given is how many clients the process has given up.
func Given() uint64 { return given.Load() }

// clients are those of the process, whose memory is one.
var clients struct {
	sync.Mutex
	all map[*Client]struct{}
}

// Begin says that it is a client's turn. moved is how many bytes it has sent or taken since, and
// cut ends what it does; both are called from other goroutines, and return at once.
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

// End says that its turn is over. Of nil it does nothing.
func (c *Client) End() {
	clients.Lock()
	defer clients.Unlock()
	delete(clients.all, c)
}

// shed gives up the slowest client, for another's sake, and reports whether there is one.
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

// Within tries to take memory for a client, which may be nil, and again as long as others that are
// slow can make room for it.
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
