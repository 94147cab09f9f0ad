//go:build linux

package isolated

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func load(t testing.TB, path string, o predict.Options, engine predict.Engine) *predict.Model {
	t.Helper()
	m, err := o.Load(t.Context(), path, engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func recorded(t testing.TB, path string) (all []bundle.Recorded) {
	t.Helper()
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range b.Manifest.Golden.Cases {
		g, err := b.ReadCase(c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	return all
}

// spy is an engine that keeps what it opened.
type spy struct {
	predict.Engine
	mu       sync.Mutex
	sessions []*session
}

func (s *spy) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	opened, err := s.Engine.Open(ctx, g, o)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions = append(s.sessions, opened.(*session))
	}
	return opened, err
}

func (s *spy) last() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[len(s.sessions)-1]
}

// A model whose engine is killed again and again answers right or not at all, and comes back proven.
func TestAModelGetsAnotherEngine(t *testing.T) {
	for _, name := range []string{"iris", "shapes"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(conformance, "bundles", name+".forgo")
			engine := &spy{Engine: Engine(onnx.Engine(), Options{})}
			m := load(t, path, predict.Options{}, engine)
			if s := serving.Of(m).Engine(); !s.Isolated || s.Down != nil || s.Restarts != 0 {
				t.Fatalf("got %+v", s)
			}
			var notified atomic.Int64
			serving.Of(m).NotifyEngine(func(serving.EngineStatus) { notified.Add(1) })
			cases := recorded(t, path)
			var right, without atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for caller := range 8 {
				callers.Go(func() {
					for i := caller; ctx.Err() == nil; i++ {
						g := cases[i%len(cases)]
						in, err := m.Prepare(t.Context(), g.Raw)
						var out predict.Tensors
						if err == nil {
							out, err = m.Run(t.Context(), in)
						}
						if errors.Is(err, predict.ErrUnavailable) {
							without.Add(1)
							continue
						}
						if err != nil {
							t.Error(err)
							return
						}
						for name, want := range g.Outputs {
							if d, err := tensor.Difference(out[name], want); err != nil || d > m.Parity().Tolerance {
								t.Errorf("case %s: output %s differs by %v: %v", g.ID, name, d, err)
							}
						}
						right.Add(1)
					}
				})
			}
			for round := range 2 {
				before := right.Load()
				waittest.Until(t, "callers are answered", func() bool { return right.Load() > before+50 })
				if err := engine.last().cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				waittest.Until(t, "it is there again", func() bool { s := serving.Of(m).Engine(); return s.Down == nil && s.Restarts == round+1 })
			}
			before := right.Load()
			waittest.Until(t, "callers are answered again", func() bool { return right.Load() > before+50 })
			stop()
			callers.Wait()
			if without.Load() == 0 || notified.Load() < 4 {
				t.Errorf("%d callers heard of it, and %d times those who asked to be told", without.Load(), notified.Load())
			}
		})
	}
}

// What does not prove itself again does not answer.
func TestAModelThatCannotComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "iris.forgo")
	if err := os.CopyFS(path, os.DirFS(filepath.Join(conformance, "bundles/iris.forgo"))); err != nil {
		t.Fatal(err)
	}
	engine := &spy{Engine: Engine(onnx.Engine(), Options{})}
	m := load(t, path, predict.Options{}, engine)
	in := recorded(t, path)[0].Inputs
	if err := os.Rename(path, path+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := engine.last().cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "it is tried", func() bool {
		down := serving.Of(m).Engine().Down
		return down != nil && errors.Is(down, predict.ErrUnavailable) && strings.Contains(down.Error(), "could not be restarted")
	})
	if _, err := m.Run(t.Context(), in); !errors.Is(err, predict.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := os.Rename(path+"-away", path); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "it comes back with its folder", func() bool { return serving.Of(m).Engine().Down == nil })
	if _, err := m.Run(t.Context(), in); err != nil {
		t.Error(err)
	}
}

// Closing a model that is being started again does not wait for that.
func TestClosingWhileItIsStartedAgain(t *testing.T) {
	path := filepath.Join(conformance, "bundles/iris.forgo")
	engine := &spy{Engine: Engine(onnx.Engine(), Options{})}
	m, err := predict.Load(t.Context(), path, engine)
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.last().cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	for _, s := range engine.sessions {
		waittest.Until(t, "every process has ended", func() bool { return s.cmd.ProcessState != nil })
	}
}

func benchmark(b *testing.B, engine predict.Engine) {
	for _, name := range []string{"iris", "shapes"} {
		for _, callers := range []int{1, 32} {
			b.Run(name+map[int]string{1: "/one caller", 32: "/32 callers"}[callers], func(b *testing.B) {
				path := filepath.Join(conformance, "bundles", name+".forgo")
				m := load(b, path, predict.Options{}, engine)
				in := recorded(b, path)[0].Inputs
				b.SetParallelism(callers)
				b.ReportAllocs()
				b.ResetTimer()
				if callers == 1 {
					for b.Loop() {
						if _, err := m.Run(b.Context(), in); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						if _, err := m.Run(b.Context(), in); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

func BenchmarkInProcess(b *testing.B) { benchmark(b, onnx.Engine()) }
func BenchmarkIsolated(b *testing.B)  { benchmark(b, Engine(onnx.Engine(), Options{})) }

// changed is an engine whose process answers otherwise each time that it is started again.
type changed struct {
	*spy
	opened atomic.Int64
}

func (c *changed) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	s, err := c.spy.Open(ctx, g, o)
	if c.opened.Add(1) > 1 && err == nil {
		return otherwise{s.(*session)}, nil
	}
	return s, err
}

type otherwise struct{ *session }

func (o otherwise) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	out, err := o.session.Run(ctx, inputs, outputs)
	for _, t := range out {
		if values, ok := t.Data.([]float32); ok {
			values[0]++
		}
	}
	return out, err
}

// Golden cases are replayed before a process that was started again answers.
func TestAnEngineThatComesBackChanged(t *testing.T) {
	path := filepath.Join(conformance, "bundles/iris.forgo")
	engine := &changed{spy: &spy{Engine: Engine(onnx.Engine(), Options{Available: true})}}
	m := load(t, path, predict.Options{}, engine)
	in := recorded(t, path)[0].Inputs
	if err := engine.last().cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "it is refused", func() bool {
		down := serving.Of(m).Engine().Down
		return down != nil && strings.Contains(down.Error(), "parity refused")
	})
	if out, err := m.Run(t.Context(), in); !errors.Is(err, predict.ErrUnavailable) {
		t.Errorf("got %v, %v", out, err)
	}
}
