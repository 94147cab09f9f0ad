package main

import (
	"math"
	"runtime"

	"go.uber.org/automaxprocs/maxprocs"
)

// useCPULimit has the process, and with it an engine's runs, use as many threads as its cgroup
// may use cores, rounded up. Go does that by itself, but never with fewer than two, which half a
// core would be throttled for.
func useCPULimit() {
	most := runtime.GOMAXPROCS(0)
	// Where the limit cannot be read, Go's choice remains.
	_, _ = maxprocs.Set(maxprocs.RoundQuotaFunc(func(cores float64) int {
		return min(most, int(math.Ceil(cores)))
	}))
}
