package served

// Callers who send slowly, when there is no memory for others.

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/predict"
)

// readers are the requests of which a long body is being read.
var readers struct {
	sync.Mutex
	all map[*Request]*reading
}

type reading struct {
	start time.Time
	bytes int64
}

// patient is how long every caller may take before it can be shed.
const patient = time.Second

// Reading says that so many bytes of the request's body have come, and that more are to come.
func (r *Request) Reading(bytes int64) {
	readers.Lock()
	defer readers.Unlock()
	if readers.all == nil {
		readers.all = map[*Request]*reading{}
	}
	if seen, ok := readers.all[r]; ok {
		seen.bytes = bytes
		return
	}
	readers.all[r] = &reading{r.start, bytes}
}

// Read says that nothing more is to come.
func (r *Request) Read() {
	readers.Lock()
	defer readers.Unlock()
	delete(readers.all, r)
}

// shed interrupts the caller that sends the slowest, for another's sake, and reports whether there
// is one.
func shed(sake *Request) bool {
	readers.Lock()
	defer readers.Unlock()
	var slowest *Request
	least := 0.0
	for r, seen := range readers.all {
		took := time.Since(seen.start)
		if r == sake || took < patient {
			continue
		}
		if rate := float64(seen.bytes) / took.Seconds(); slowest == nil || rate < least {
			slowest, least = r, rate
		}
	}
	if slowest == nil {
		return false
	}
	delete(readers.all, slowest)
	if slowest.Writer != nil {
		_ = http.NewResponseController(slowest.Writer).SetReadDeadline(time.Now()) // its read fails now
	}
	return true
}

// within tries to take memory again, as long as slow callers can make room for it.
func (r *Request) within(take func() error) error {
	err := take()
	for errors.Is(err, predict.ErrBusy) && shed(r) {
		for range 20 {
			time.Sleep(5 * time.Millisecond)
			if err = take(); !errors.Is(err, predict.ErrBusy) {
				break
			}
		}
	}
	return err
}
