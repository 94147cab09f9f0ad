package repository_test

// Versions whose engines end: what answers is not given up for them.

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve/repository"
)

// mortal is ONNX Runtime as an engine that ends when it is told to, and opens no graph until it may again.
type mortal struct {
	predict.Engine
	mu   sync.Mutex
	away bool
	open []chan struct{}
}

func (e *mortal) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return nil, errors.New("no engine starts now")
	}
	s, err := e.Engine.Open(ctx, g, o)
	if err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	e.open = append(e.open, gone)
	return mortalSession{s, gone}, nil
}

// end ends all that it has opened. Another is opened once back is called.
func (e *mortal) end() (back func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away = true
	for _, gone := range e.open {
		close(gone)
	}
	e.open = nil
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.away = false
	}
}

type mortalSession struct {
	engines.Session
	gone chan struct{}
}

func (s mortalSession) Gone() <-chan struct{} { return s.gone }
func (s mortalSession) Err() error            { return errors.New("killed") }

// enginesByVersion gives each version of a model an engine of its own, by its number.
func enginesByVersion(o *repository.Options) map[string]*mortal {
	all := map[string]*mortal{}
	o.Load = func(ctx context.Context, path string, s repository.Settings) (*predict.Model, error) {
		number := filepath.Base(path)
		if all[number] == nil {
			all[number] = &mortal{Engine: onnx.Engine()}
		}
		return predict.Options{Threads: 1}.Load(ctx, path, all[number])
	}
	return all
}

// state waits for the state of a version.
func state(t *testing.T, r *repository.Repository, version string, want repository.State) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		for _, s := range r.Status() {
			if s.Version == version && s.State == want {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the versions are %s, want %s to be %s", states(r), version, want)
		}
	}
}

// A version whose folder was deleted answers while the engine of the one that is to take its place is away.
func TestADeletedVersionAnswersForOneWithoutAnEngine(t *testing.T) {
	root, o := t.TempDir(), options(&log{})
	o.Defaults.Versions = policy(t, "latest:2")
	all := enginesByVersion(&o)
	put(t, bundle(t, "-1"), root, "iris", "1")
	put(t, bundle(t, "-2"), root, "iris", "2")
	r := open(t, o, root)
	back := all["1"].end()
	state(t, r, "1", repository.Loading)
	if err := os.RemoveAll(filepath.Join(root, "iris", "2")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.Refresh(t.Context())
		answers(t, r, "", "-2")
	}
	back()
	state(t, r, "1", repository.Ready)
	r.Refresh(t.Context())
	answers(t, r, "", "-1")
	wantStates(t, r, "iris/1=READY")
}

// Nor does it move by itself to the highest one.
func TestStableWaitsForTheEngineOfTheHighest(t *testing.T) {
	root, o := t.TempDir(), options(&log{})
	both := map[string]repository.Settings{"iris": {Versions: policy(t, "latest:2")}}
	o.Models = map[string]repository.Settings{"iris": {Versions: policy(t, "latest:2"), Labels: map[string]string{"stable": "1"}}}
	all := enginesByVersion(&o)
	put(t, bundle(t, "-1"), root, "iris", "1")
	put(t, bundle(t, "-2"), root, "iris", "2")
	r := open(t, o, root)
	back := all["2"].end()
	state(t, r, "2", repository.Loading)
	r.Configure(t.Context(), both)
	for range 4 {
		answers(t, r, "", "-1")
		r.Refresh(t.Context())
	}
	back()
	state(t, r, "2", repository.Ready)
	r.Refresh(t.Context())
	answers(t, r, "", "-2")

	// Where the one that has the label loses its engine, the label stays: it comes back in a moment.
	back = all["2"].end()
	state(t, r, "2", repository.Loading)
	r.Refresh(t.Context())
	if m, err := r.Get("iris", ""); err == nil {
		m.Release()
		t.Error("another version answers what names none")
	}
	back()
	state(t, r, "2", repository.Ready)
	answers(t, r, "", "-2")
}

// A label does not move to a version whose engine is away, nor is the version that has it dropped.
func TestLabelsWaitForEngines(t *testing.T) {
	root, o := t.TempDir(), options(&log{})
	settings := func(stable string) map[string]repository.Settings {
		return map[string]repository.Settings{"iris": {Versions: policy(t, "latest"), Labels: map[string]string{"stable": stable}}}
	}
	o.Models = settings("1")
	all := enginesByVersion(&o)
	put(t, bundle(t, "-1"), root, "iris", "1")
	put(t, bundle(t, "-2"), root, "iris", "2")
	r := open(t, o, root)
	back := all["2"].end()
	state(t, r, "2", repository.Loading)
	r.Configure(t.Context(), settings("2"))
	for range 4 {
		answers(t, r, "", "-1")
		r.Refresh(t.Context())
	}
	back()
	state(t, r, "2", repository.Ready)
	r.Refresh(t.Context())
	answers(t, r, "", "-2")
	wantStates(t, r, "iris/1=UNAVAILABLE iris/2=READY")
}
