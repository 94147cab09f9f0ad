package predict

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

// Small pictures find a place while large ones have all that there are for large ones, and the other way round.
func TestSmallPicturesDoNotWaitForLargeOnes(t *testing.T) {
	given, cancel := context.WithCancel(t.Context())
	cancel()
	sizes := map[string][2]int{"small": {640, 480}, "large": {9000, 9000}}
	for full, other := range map[string]string{"large": "small", "small": "large"} {
		g := decoder(sizes[full][0], sizes[full][1])
		for range runtime.GOMAXPROCS(0) {
			if err := g.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.enter(given); !errors.Is(err, context.Canceled) {
			t.Errorf("one more of the %s ones: %v", full, err)
		}
		free := decoder(sizes[other][0], sizes[other][1])
		if err := free.enter(t.Context()); err != nil {
			t.Errorf("a %s one: %v", other, err)
		}
		free.leave()
		for range runtime.GOMAXPROCS(0) {
			g.leave()
		}
	}
	for _, size := range [][2]int{{largePicture, 1}, {1, largePicture}, {1448, 1448}} {
		if decoder(size[0], size[1]) != &decoders.small {
			t.Errorf("%v is large", size)
		}
	}
	for _, size := range [][2]int{{largePicture, 2}, {2, largePicture}, {1449, 1449}, {65500, 65500}} {
		if decoder(size[0], size[1]) != &decoders.large {
			t.Errorf("%v is small", size)
		}
	}
}

func TestLimits(t *testing.T) {
	cores := runtime.GOMAXPROCS(0)
	for name, c := range map[string]struct {
		options            Options
		instances, threads int
	}{
		"nothing set":          {Options{}, 1, 0},
		"one thread each":      {Options{Threads: 1}, cores, 1},
		"every core":           {Options{Threads: cores}, 1, cores},
		"more than every core": {Options{Threads: 2 * cores}, 1, 2 * cores},
		"instances":            {Options{Instances: cores}, cores, max(1, cores/max(1, cores))},
		"both":                 {Options{Instances: 3, Threads: 2}, 3, 2},
	} {
		threads := c.threads
		if cores == 1 && c.options.Threads == 0 {
			threads = 0
		}
		l := c.options.limits()
		if l.Instances != c.instances || c.options.threads() != threads || l.BatchRows != 32 || l.QueueRows != 512 {
			t.Errorf("%s: %+v with %d threads, want %d instances with %d", name, l, c.options.threads(), c.instances, threads)
		}
	}
}
