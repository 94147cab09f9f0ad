package predict_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
)

// busy is ONNX Runtime with a graph that keeps it busy as it is opened, or runs, until goOn is closed.
type busy struct {
	predict.Engine
	runs           bool
	came           func()
	goOn           chan struct{}
	opened, closed *atomic.Int32
}

func (e busy) Open(_ context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	e.opened.Add(1)
	if !e.runs {
		e.came()
		<-e.goOn
	}
	s, err := e.Engine.Open(context.Background(), g, o)
	return busySession{s, e}, err
}

type busySession struct {
	engines.Session
	e busy
}

func (s busySession) Run(_ context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	if s.e.runs {
		s.e.came()
		<-s.e.goOn
	}
	return s.Session.Run(context.Background(), inputs, outputs)
}

func (s busySession) Close() error {
	defer s.e.closed.Add(1)
	return s.Session.Close()
}

// A library that is opening a graph cannot be told to stop, nor can it in the middle of an operation: its caller does
// not wait, and what it opens at last is closed.
func TestLoadIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		runs    bool // it is stuck in a run
		want    error
		says    string
	}{
		"when its caller leaves":       {0, false, context.Canceled, "gave up opening the graph"},
		"when its time is over":        {time.Second, false, context.DeadlineExceeded, "loading takes longer than 1s"},
		"in a run, as its caller left": {0, true, context.Canceled, "gave up running the graph"},
		"in a run that takes its time": {time.Second, true, context.DeadlineExceeded, "loading takes longer than 1s"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		e := busy{onnx.Engine(), c.runs, func() {}, make(chan struct{}), new(atomic.Int32), new(atomic.Int32)}
		if c.timeout == 0 {
			e.came = cancel
		}
		o := options()
		o.LoadTimeout = c.timeout
		loaded := make(chan error, 1)
		go func() {
			_, err := o.Load(ctx, iris, e)
			loaded <- err
		}()
		select {
		case err := <-loaded:
			refused := (*bundle.Error)(nil)
			if !errors.Is(err, c.want) || !errors.As(err, &refused) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: got %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: Load does not come back", name)
		}
		cancel()
		close(e.goOn)
		for deadline := time.Now().Add(10 * time.Second); e.closed.Load() < e.opened.Load(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: what was opened at last is left open", name)
			}
		}
	}
}
