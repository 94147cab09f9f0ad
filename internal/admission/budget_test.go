package admission

import (
	"errors"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/engines"
)

// An eighth of the memory is there only for requests that take little in all.
func TestTheLastEighthIsForSmallRequests(t *testing.T) {
	const max, most = 64 << 20, 56 << 20
	b := NewBudget(max)
	if err := b.Take(most + 1); !errors.Is(err, engines.ErrInput) || !strings.Contains(err.Error(), "a request may take 58720256") {
		t.Errorf("more than a request may ever take: %v", err)
	}
	if err := b.Take(most); err != nil {
		t.Fatal(err)
	}
	wantBusy(t, b.Take(small+1), "requests take 58720256 bytes of memory, and 65537 more than the limit of 58720256 are needed")
	wantBusy(t, b.More(small, 1), "1 more than the limit")
	taken := 0
	for b.More(small-1, 1) == nil { // of one who has taken a little already
		if taken++; taken > 1 {
			break
		}
	}
	for b.Take(small) == nil {
		taken++
	}
	if got := b.Used(); got <= max-small || got > max || taken < 127 {
		t.Errorf("%d small requests take all up to %d of %d bytes", taken, got, max)
	}
	wantBusy(t, b.Take(small), "the limit of 67108864")
	b.Give(most)
	if err := b.Take(1 << 20); err != nil {
		t.Errorf("once it is given back: %v", err)
	}
}
