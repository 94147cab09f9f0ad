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
