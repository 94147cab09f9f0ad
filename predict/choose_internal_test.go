package predict

import (
	"testing"
	"time"
)

func TestOvertakes(t *testing.T) {
	times := func(of ...time.Duration) []time.Duration { return of }
	for name, c := range map[string]struct {
		own, other [][]time.Duration
		want       bool
	}{
		"nothing measured":   {nil, nil, false},
		"clearly faster":     {[][]time.Duration{times(130)}, [][]time.Duration{times(100)}, true},
		"about as fast":      {[][]time.Duration{times(120)}, [][]time.Duration{times(100)}, false},
		"one slow turn":      {[][]time.Duration{times(100, 100, 900)}, [][]time.Duration{times(90, 90, 90)}, false},
		"slower in batches":  {[][]time.Duration{times(200), times(100)}, [][]time.Duration{times(100), times(101)}, false},
		"as fast in batches": {[][]time.Duration{times(200), times(100)}, [][]time.Duration{times(100), times(100)}, true},
	} {
		if got := overtakes(c.own, c.other); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
