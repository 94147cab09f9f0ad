//go:build unix

package predicttest

import (
	"context"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"

	"github.com/forgo-ml/forgo/predict"
)

// Stress makes calls from 32 goroutines while Go's collector runs all the time and moves stacks, signals
// interrupt threads, and the engine opens and closes sessions of the graph. Each goroutine makes that many
// calls, a tenth as many with -short. A call runs sessions that the caller has opened and returns an error if
// an answer is wrong; it takes the same random numbers in every test.
func Stress(t *testing.T, engine predict.Engine, graph predict.Graph, calls int, call func(ctx context.Context, random *rand.Rand) error) {
	t.Helper()
	if testing.Short() {
		calls /= 10
	}
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	ended := make(chan struct{})
	var around, callers sync.WaitGroup
	around.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-signals:
			default:
				_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
				runtime.Gosched()
			}
		}
	})
	around.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			s, err := engine.Open(context.Background(), graph, predict.SessionOptions{Threads: 1})
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for caller := range 32 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for range calls {
				if err := deep(random.IntN(50), func() error { return call(t.Context(), random) }); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	close(ended)
	around.Wait()
}

// deep calls f on a stack that has just grown, and moved.
func deep(n int, f func() error) error {
	var room [256]byte
	if n > 0 {
		err := deep(n-1, f)
		room[n] = 1
		return err
	}
	return f()
}
