// Package repository holds the models that a server offers: which versions there are, which of
// them answers, and how one takes another's place.
//
// A model is a folder with one bundle a version, MODELS/NAME/VERSION, or a single bundle. A
// version is loaded and its golden cases replayed, which warms it too, while the versions before
// it answer; then it takes their place at once, and those that are no longer wanted are closed
// when the requests that they are answering have ended. A version that is refused changes
// nothing but its own status.
package repository

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// Stable is the label of the version that answers requests that name none. Unless the settings
// say which that is, it is the highest one.
const Stable = "stable"

// single is the version of a model that is given as one bundle.
const single = "1"

// Options configure a repository.
type Options struct {
	// Load opens a bundle with a model's settings. Required. It is called from one goroutine
	// at a time.
	Load func(ctx context.Context, path string, s Settings) (*predict.Model, error)
	// Defaults hold where a model's own settings say nothing. Optional.
	Defaults Settings
	// Models are settings by model name. Optional.
	Models map[string]Settings
	// Limits bound one request. Optional.
	Limits served.Limits
	// Strict makes Start fail where any model answers with none of its versions. Optional: it fails
	// where no model answers at all.
	Strict bool
	// Readiness says when the repository is ready. Optional: ReadyAny.
	Readiness Readiness
	// Packed is a path that Load opens though it is none on disk: a bundle in the program. Optional.
	Packed string
	// Log receives what is loaded, refused and unloaded. Optional: slog.Default().
	Log *slog.Logger
}

// Repository is a set of models. It is safe for concurrent use.
type Repository struct {
	options  Options
	stopping atomic.Bool
	now      atomic.Pointer[snapshot]

	started atomic.Bool // Start has returned
	notify  atomic.Pointer[func()]

	work   sync.Mutex // one change at a time; the rest needs it
	places []place    // where models are looked for
	models map[string]*model
	counts map[string]Counts
	// unloaded are models that were unloaded on request and whose folders are gone since: another folder
	// of the name does not load them.
	unloaded map[string]bool
	closed   bool
	told     notes
	// alone leaves it to Start to say why the only model is refused: its error does.
	alone bool
}

// Counts are how often versions of a model were loaded, and refused.
type Counts struct{ Loaded, Refused uint64 }

// State is what a version is doing, in the Open Inference Protocol's words.
type State string

// The states of a version.
const (
	Ready       State = "READY"
	Loading     State = "LOADING"
	Unavailable State = "UNAVAILABLE"
)

// Status is what operators may know of a version.
type Status struct {
	Name, Version string
	State         State
	// Reason says why the version is not ready or, of one that is, why what has come to lie in
	// its folder since is not what answers.
	Reason string
	Labels []string
	// Gone says that the folder of a version that answers is not there any more.
	Gone bool
	// Model is the one that answers, nil unless the version is ready. It must not be asked to
	// predict: that takes [Repository.Get].
	Model *served.Model
}

// now is the status of this moment: a version whose engine has ended does not answer until it was
// started again.
func (s Status) now() Status {
	if s.Model != nil {
		if down := s.Model.Engine().Down; down != nil {
			s.State, s.Reason, s.Model = Loading, down.Error(), nil
		}
	}
	return s
}

// answers reports whether there is a model, and its engine runs.
func answers(m *served.Model) bool { return m != nil && m.Engine().Down == nil }

// Stable reports whether the version is the one that answers requests that name none.
func (s Status) Stable() bool { return s.Model != nil && slices.Contains(s.Labels, Stable) }

// Names lists the models of a status, each once.
func Names(status []Status) []string {
	names := []string{}
	for _, s := range status {
		if n := len(names); n == 0 || names[n-1] != s.Name {
			names = append(names, s.Name)
		}
	}
	return names
}

// snapshot is never changed once it is published, so that requests need no lock.
type snapshot struct {
	status []Status // by name and version
	byName map[string]*entry
	ready  []*served.Model
	loads  map[string]Counts
	// answering is how many of the models answer where no version is named.
	answering int
}

type entry struct {
	serving  *served.Model // what answers where no version is named
	versions map[string]Status
	labels   map[string]*served.Model
}

// Fixed returns a repository of models that are loaded already, each as its version 1, and stay
// the caller's to close. They cannot be changed.
func Fixed(models map[string]*predict.Model, l served.Limits) *Repository {
	r := &Repository{options: Options{Limits: l, Log: slog.New(slog.DiscardHandler)}}
	r.models = map[string]*model{}
	for name, m := range models {
		v := &version{current: r.serve(name, single, m, nil), state: Ready}
		r.models[name] = &model{name: name, fixed: true, versions: map[string]*version{single: v}}
	}
	r.started.Store(true)
	r.publish()
	return r
}

func (r *Repository) serve(name, version string, m *predict.Model, close func()) *served.Model {
	serving.Of(m).NotifyEngine(r.engine(name, version, m))
	return served.New(m, name, version, r.options.Limits, close)
}

// engine says in the log what becomes of a model's engine that runs in a process of its own.
func (r *Repository) engine(name, version string, m *predict.Model) func(serving.EngineStatus) {
	var before serving.EngineStatus
	return func(s serving.EngineStatus) {
		log := r.options.Log.With("model", name, "version", version)
		switch {
		case s.Down == nil:
			log.Info("engine started again", "restarts", s.Restarts, "parity", m.Parity().String())
		case before.Down == nil || before.Down.Error() != s.Down.Error():
			log.Error("engine has ended", "error", s.Down.Error())
		}
		before = s
		r.changed()
	}
}

// Get returns a model that answers until it is released; version "" is the stable one. It fails
// with served.ErrNotFound, or served.ErrNotReady for a model or version that is known and does
// not answer.
func (r *Repository) Get(name, version string) (*served.Model, error) {
	for {
		m, err := r.now.Load().find(name, version)
		if err != nil || m.Acquire() {
			return m, err
		}
		// It was retired since, which a newer snapshot knows of.
	}
}

// Labelled is like Get for the version that has a label.
func (r *Repository) Labelled(name, label string) (*served.Model, error) {
	for {
		m, err := r.now.Load().labelled(name, label)
		if err != nil || m.Acquire() {
			return m, err
		}
	}
}

func (s *snapshot) find(name, version string) (*served.Model, error) {
	e, ok := s.byName[name]
	if !ok {
		return nil, served.NotFound("no such model %s; %s", tensor.Quote(name), others(name, slices.Collect(maps.Keys(s.byName))))
	}
	if version == "" {
		if answers(e.serving) {
			return e.serving, nil
		}
		return nil, served.NotReady("model %q is not ready: %s", name, e.reasons())
	}
	v, ok := e.versions[version]
	v = v.now()
	switch {
	case !ok:
		return nil, served.NotFound("model %q has no version %q, only %q", name, version, e.names())
	case v.Model == nil:
		return nil, served.NotReady("version %s of model %q is not ready: %s", version, name, cmp.Or(v.Reason, string(v.State)))
	}
	return v.Model, nil
}

func (s *snapshot) labelled(name, label string) (*served.Model, error) {
	e, ok := s.byName[name]
	if !ok {
		return nil, served.NotFound("no such model %s; %s", tensor.Quote(name), others(name, slices.Collect(maps.Keys(s.byName))))
	}
	m, ok := e.labels[label]
	switch {
	case !ok:
		return nil, served.NotFound("model %q has no version labelled %q, only %q", name, label, slices.Sorted(maps.Keys(e.labels)))
	case m == nil:
		return nil, served.NotReady("model %q has no version for the label %q, only %q", name, label, e.names())
	case !answers(m):
		return nil, served.NotReady("the version of model %q labelled %q is not ready: %s", name, label, e.reasons())
	}
	return m, nil
}

// mostNames is how many models an error lists.
const mostNames = 10

// others lists the server's models, those first that share the longest beginning with name.
func others(name string, names []string) string {
	if len(names) == 0 {
		return "the server has no models"
	}
	alike := func(other string) int {
		n := 0
		for n < min(len(name), len(other)) && name[n] == other[n] {
			n++
		}
		return n
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(alike(b)-alike(a), strings.Compare(a, b)) })
	list := make([]string, 0, mostNames)
	for _, other := range names[:min(len(names), mostNames)] {
		list = append(list, tensor.Quote(other))
	}
	text := strings.Join(list, ", ")
	if more := len(names) - mostNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "the server has " + text
}

func (e *entry) names() []string { return slices.SortedFunc(maps.Keys(e.versions), byNumber) }

func (e *entry) reasons() string {
	var list []string
	for _, version := range e.names() {
		v := e.versions[version].now()
		list = append(list, fmt.Sprintf("version %s: %s", version, cmp.Or(v.Reason, string(v.State))))
	}
	if list == nil {
		return "it has no versions"
	}
	return strings.Join(list, "; ")
}

// All returns the models that answer, by name and version. To predict with one takes Get.
func (r *Repository) All() []*served.Model { return r.now.Load().ready }

// Status returns every version that is known, by name and version.
func (r *Repository) Status() []Status {
	status := r.now.Load().status
	for i, s := range status {
		if s.Model != nil && !answers(s.Model) {
			status = slices.Clone(status) // which is not to be changed
			for j := range status[i:] {
				status[i+j] = status[i+j].now()
			}
			break
		}
	}
	return status
}

// Counts returns how often versions were loaded and refused, by model name.
func (r *Repository) Counts() map[string]Counts { return r.now.Load().loads }

// Readiness says when a repository is ready.
type Readiness string

// When a repository is ready, once every model was tried: where any model answers, or where all do.
// A model answers where its stable version does.
const (
	ReadyAny Readiness = "any"
	ReadyAll Readiness = "all"
)

// Ready reports whether requests are welcome: once the models are loaded, while as many answer as
// Options.Readiness asks for, and until the server stops.
func (r *Repository) Ready() bool {
	now := r.now.Load()
	answering := now.answering
	for _, e := range now.byName {
		if e.serving != nil && !answers(e.serving) {
			answering--
		}
	}
	enough := answering > 0
	if r.options.Readiness == ReadyAll {
		enough = enough && answering == len(now.byName)
	}
	return enough && r.started.Load() && !r.stopping.Load()
}

// Started reports whether every model was tried.
func (r *Repository) Started() bool { return r.started.Load() }

// Stopping reports whether the server is about to stop. Requests that come all the same are answered.
func (r *Repository) Stopping() bool { return r.stopping.Load() }

// Stop makes Ready answer false.
func (r *Repository) Stop() {
	r.stopping.Store(true)
	r.changed()
}

// Notify has f called whenever what Ready or Status return may have changed. It must not wait for
// the repository.
func (r *Repository) Notify(f func()) { r.notify.Store(&f) }

func (r *Repository) changed() {
	if f := r.notify.Load(); f != nil {
		(*f)()
	}
}

// Close retires every model and returns when those that it loaded are closed. Nothing is loaded
// any more.
func (r *Repository) Close() {
	r.work.Lock()
	defer r.work.Unlock()
	r.closed = true
	var retired []*served.Model
	for _, m := range r.models {
		for _, v := range m.versions {
			if v.current != nil {
				retired = append(retired, v.current)
				v.current, v.state, v.reason = nil, Unavailable, "the server has stopped"
			}
		}
	}
	r.publish()
	for _, m := range retired {
		m.Retire()
	}
	for _, m := range retired {
		m.Wait()
	}
}

// publish makes what is now so visible to requests, all of it at once.
func (r *Repository) publish() {
	s := &snapshot{byName: map[string]*entry{}, loads: maps.Clone(r.counts)}
	for _, name := range slices.Sorted(maps.Keys(r.models)) {
		m := r.models[name]
		e := &entry{versions: map[string]Status{}, labels: map[string]*served.Model{}}
		labels := m.labels()
		for _, number := range slices.SortedFunc(maps.Keys(m.versions), byNumber) {
			v := m.versions[number]
			status := Status{Name: name, Version: number, State: v.state, Reason: v.reason, Model: v.current, Gone: v.gone}
			for _, label := range slices.Sorted(maps.Keys(labels)) {
				if labels[label] == number {
					status.Labels = append(status.Labels, label)
				}
			}
			s.status = append(s.status, status)
			e.versions[number] = status
			if v.current != nil {
				s.ready = append(s.ready, v.current)
			}
		}
		for label, number := range labels {
			e.labels[label] = e.versions[number].Model
		}
		e.serving = e.labels[Stable]
		if e.serving != nil {
			s.answering++
		}
		s.byName[name] = e
	}
	r.now.Store(s)
	r.changed()
}
