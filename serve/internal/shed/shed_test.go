package shed

import (
	"fmt"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
)

// The slowest of those who have had their time is given up for another, counted, and no one else.
func TestTheSlowestIsGivenUp(t *testing.T) {
	cut := ""
	begin := func(name string, moved int64, ago time.Duration) *Client {
		c := Begin(func() int64 { return moved }, func() { cut += name + " " })
		c.since = time.Now().Add(-ago)
		return c
	}
	slow, slower, recent := begin("slow", 1000, time.Minute), begin("slower", 10, time.Minute), begin("recent", 0, 0)
	busy := 0
	take := func() error {
		if cut == "slower " {
			return nil
		}
		busy++
		return fmt.Errorf("no room: %w", predict.ErrBusy)
	}
	before := Given()
	if err := Within(recent, take); err != nil || cut != "slower " || busy != 1 || Given() != before+1 {
		t.Errorf("%v, cut %q, %d refusals, %d given up", err, cut, busy, Given()-before)
	}
	for _, c := range []*Client{slow, slower, recent} {
		c.End()
	}
	cut = ""
	if err := Within(nil, take); err == nil || cut != "" || Given() != before+1 {
		t.Errorf("%v, cut %q with nobody there", err, cut)
	}
}
