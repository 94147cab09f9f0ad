//go:build unix

package tensorflow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// Answers are right while Go's collector runs all the time and moves stacks, threads are interrupted by
// signals, runs are given up, others fail, and sessions come and go.
func TestRightUnderStress(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	text, reads := open(t, graph("text")), open(t, graph("reads"), tensorflow.AllowFiles())
	runs := 200
	if testing.Short() {
		runs = 20
	}
	ended := make(chan struct{})
	var around, callers sync.WaitGroup
	around.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-signals:
			case <-time.After(50 * time.Microsecond):
				_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
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
			s, err := tensorflow.Engine().Open(context.Background(), graph("text"), predict.SessionOptions{Threads: 1})
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for caller := range 16 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for range runs {
				if err := deep(random.IntN(50), func() error { return ask(t.Context(), random, text, reads) }); err != nil {
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
	var frame [256]byte
	if n > 0 {
		err := deep(n-1, f)
		frame[n] = 1
		return err
	}
	return f()
}

// ask makes one call, of those that are answered, given up or refused.
func ask(ctx context.Context, random *rand.Rand, text, reads engines.Session) error {
	if random.IntN(4) == 0 {
		x := predict.Tensors{"path": {Shape: []int64{1}, Data: []string{"/no/such/file"}}}
		if _, err := reads.Run(ctx, x, []string{"content"}); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
			return fmt.Errorf("a file that does not exist was read: %v", err)
		}
		return nil
	}
	mayEnd := random.IntN(4) == 0
	if mayEnd {
		soon, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(200_000)))
		defer cancel()
		ctx = soon
	}
	words := make([]string, 2*(1+random.IntN(50)))
	for i := range words {
		words[i] = strings.Repeat("word", random.IntN(10)) + fmt.Sprint(random.Uint32())
	}
	x := predict.Tensors{"words": {Shape: []int64{int64(len(words) / 2), 2}, Data: words}}
	out, err := text.Run(ctx, x, []string{"number", "loud"})
	if mayEnd && errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	if err != nil {
		return err
	}
	numbers, loud := out["number"].Data.([]int64), out["loud"].Data.([]string)
	for i, word := range words {
		if numbers[i] != -1 || loud[i] != strings.ToUpper(word) {
			return fmt.Errorf("%q is number %d and loud %q", word, numbers[i], loud[i])
		}
	}
	return nil
}
