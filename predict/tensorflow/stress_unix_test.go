//go:build unix

package tensorflow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/predicttest"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// Answers are right while Go's collector runs all the time and moves stacks, threads are interrupted by
// signals, runs are given up, others fail, and sessions come and go.
func TestRightUnderStress(t *testing.T) {
	text, reads := open(t, graph("text")), open(t, graph("reads"), tensorflow.AllowFiles())
	predicttest.Stress(t, tensorflow.Engine(), graph("text"), 100, func(ctx context.Context, random *rand.Rand) error {
		return ask(ctx, random, text, reads)
	})
}

// ask makes one random call: one that succeeds, one with a deadline that may pass, or one that fails.
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
