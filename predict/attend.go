package predict

// Restarting isolated engines that have died.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
)

// attendant restarts a model's engine after it died.
type attendant struct {
	stop context.CancelFunc // nil where nothing is attended to
	done chan struct{}

	mu     sync.Mutex
	status serving.EngineStatus
	tell   func(serving.EngineStatus)
}

const (
	firstPause = time.Second // before the second start in a row
	mostPause  = time.Minute
	calm       = time.Minute // a process that has lived as long has done well
)

// chose records which engines were chosen for a bundle's graphs.
func (a *attendant) chose(b *bundle.Bundle, c *choice) {
	a.status.Passed = c.passed
	if p := b.Manifest.Picture; p != nil {
		a.status.Preprocess = c.chosen[p.Preprocess].Name
	}
}

func (a *attendant) set(change func(*serving.EngineStatus)) {
	a.mu.Lock()
	change(&a.status)
	status, tell := a.status, a.tell
	a.mu.Unlock()
	if tell != nil {
		tell(status)
	}
}

// leave stops the attendant.
func (a *attendant) leave() {
	if a.stop != nil {
		a.stop()
		<-a.done
	}
}

// attend watches the model's graphs if their engines are processes that can end. again loads the bundle
// once more, in the same way, replay included.
func (m *Model) attend(again func(context.Context) (*Model, error)) {
	a := &m.attendant
	if gone(m.graphs.Load()) == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop, a.done, a.status.Isolated = stop, make(chan struct{}), true
	go func() {
		defer close(a.done)
		for pause := time.Duration(0); ; {
			since := time.Now()
			reason := wait(ctx, m.graphs.Load())
			if reason == nil {
				return
			}
			a.set(func(s *serving.EngineStatus) { s.Down = down{reason: reason} })
			if time.Since(since) > calm {
				pause = 0
			}
			for sleep(ctx, pause) {
				pause = min(max(firstPause, 2*pause), mostPause)
				err := m.renew(ctx, again)
				if err == nil {
					break
				}
				if ctx.Err() == nil {
					a.set(func(s *serving.EngineStatus) { s.Down = down{reason, err} })
				}
			}
			if ctx.Err() != nil {
				return
			}
			a.set(func(s *serving.EngineStatus) { s.Down, s.Restarts = nil, s.Restarts+1 })
		}
	}()
}

// renew replaces the model's graphs with those of a freshly loaded and proven model of the same bundle.
func (m *Model) renew(ctx context.Context, again func(context.Context) (*Model, error)) error {
	fresh, err := again(ctx)
	if err != nil {
		return err
	}
	if fresh.digest != m.digest {
		_ = fresh.Close()
		return errors.New("its folder now holds another bundle")
	}
	fresh.batcher.Close()
	for i, s := range fresh.signed { // the same ones: it is the same bundle
		s.batcher.Close()
		m.signed[i].graphs.Store(s.graphs.Load())
	}
	now := serving.Of(fresh).Engine()
	m.attendant.mu.Lock()
	m.attendant.status.Preprocess, m.attendant.status.Passed = now.Preprocess, now.Passed
	m.attendant.mu.Unlock()
	old := m.graphs.Swap(fresh.graphs.Load())
	go func() { _ = old.close() }() // one of them may still be running
	return nil
}

// replaced returns the error of a run in graphs that renew may have closed in the meantime.
func (m *Model) replaced(g *graphs, err error) error {
	if errors.Is(err, ErrClosed) && m.graphs.Load() != g {
		return down{reason: err}
	}
	return err
}

// down is the error of a model whose engine is down.
type down struct {
	reason error // why it ended
	again  error // why it could not be started again; nil before it was tried
}

func (d down) Error() string {
	if d.again != nil {
		return fmt.Sprintf("its engine has ended (%v), and could not be restarted: %v; trying again", d.reason, d.again)
	}
	return fmt.Sprintf("its engine has ended (%v) and is restarting", d.reason)
}
func (d down) Unwrap() error        { return d.reason }
func (d down) Is(target error) bool { return target == ErrUnavailable }

// gone returns a channel that is closed when one of the graphs' engines ends, or nil if none can.
func gone(g *graphs) <-chan struct{} {
	var any []engines.Mortal
	for _, s := range g.list() {
		if m, ok := s.(engines.Mortal); ok {
			any = append(any, m)
		}
	}
	switch len(any) {
	case 0:
		return nil
	case 1:
		return any[0].Gone()
	}
	either := make(chan struct{})
	go func() {
		defer close(either)
		select {
		case <-any[0].Gone():
		case <-any[1].Gone():
		}
	}()
	return either
}

// wait blocks until one of the graphs has ended and returns why, or nil if ctx ends first.
func wait(ctx context.Context, g *graphs) error {
	select {
	case <-gone(g):
	case <-ctx.Done():
		return nil
	}
	for _, s := range g.list() {
		if m, ok := s.(engines.Mortal); ok {
			select {
			case <-m.Gone():
				return m.Err()
			default:
			}
		}
	}
	return nil // not reached
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
