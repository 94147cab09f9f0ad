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
	"github.com/forgo-ml/forgo/predict/onnx"
)

// busy is ONNX Runtime with a graph that keeps it busy as it is opened, until goOn is closed.
type busy struct {
	predict.Engine
	goOn   chan struct{}
	open   chan predict.Session
	closed *atomic.Int32
}

func (e busy) Open(_ context.Context, g predict.Graph, o predict.SessionOptions) (predict.Session, error) {
	<-e.goOn
	s, err := e.Engine.Open(context.Background(), g, o)
	counted := countedSession{s, e.closed}
	e.open <- counted
	return counted, err
}

type countedSession struct {
	predict.Session
	closed *atomic.Int32
}

func (s countedSession) Close() error {
	defer s.closed.Add(1)
	return s.Session.Close()
}

// A library that is opening a graph cannot be told to stop: its caller does not wait, and what it
// opens at last is closed.
func TestLoadIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		want    error
		says    string
	}{
		"when its caller leaves": {0, context.Canceled, "gave up opening the graph"},
		"when its time is over":  {50 * time.Millisecond, context.DeadlineExceeded, "loading takes longer than 50ms"},
	} {
		e := busy{onnx.Engine(), make(chan struct{}), make(chan predict.Session, 1), new(atomic.Int32)}
		ctx, cancel := context.WithCancel(t.Context())
		if c.timeout == 0 {
			time.AfterFunc(50*time.Millisecond, cancel)
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
		<-e.open
		for deadline := time.Now().Add(10 * time.Second); e.closed.Load() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: what was opened at last is left open", name)
			}
		}
	}
}
