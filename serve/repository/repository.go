// Package repository holds the models that a server offers. It decides which versions of a model are
// loaded and which of them answers, and replaces one by another.
//
// A model is a folder with a bundle for each version, MODELS/NAME/VERSION, or a single bundle. The
// repository loads a version and replays its golden cases, which also warms it, while previous versions
// answer. The new version then takes over at once. Versions that are no longer wanted are closed when the
// requests that they answer have ended. A refused version changes nothing but its own status.
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

// Stable is the label of the version that answers requests without a version. Unless the settings place
// it, it is on the highest version.
const Stable = "stable"

// single is the version of a model that is a single bundle.
const single = "1"

// Options configure a repository.
type Options struct {
	// Load opens a bundle with a model's settings. Required. The repository never calls it concurrently.
	Load func(ctx context.Context, path string, s Settings) (*predict.Model, error)
	// Defaults apply where a model's own settings are empty. Optional.
	Defaults Settings
	// Models maps model names to settings. Optional.
	Models map[string]Settings
	// Limits bound one request. Optional.
	Limits served.Limits
	// Strict makes Start fail if any model has no version that answers. Optional: Start fails if no model
	// answers at all.
	Strict bool
	// Readiness says when the repository is ready. Optional: ReadyAny.
	Readiness Readiness
	// Packed is a path that Load opens although it is not on disk: a bundle in the program. Optional.
	Packed string
	// Log receives loads, refusals and unloads. Optional: slog.Default().
	Log *slog.Logger
}

// Repository is a set of models. It is safe for concurrent use.
type Repository struct {
	options  Options
	stopping atomic.Bool
	now      atomic.Pointer[snapshot]

	started atomic.Bool // Start has returned
	notify  atomic.Pointer[func()]

	work    sync.Mutex // one change at a time; the rest needs it
	sources []source   // where models are looked for
	models  map[string]*model
	counts  map[string]Counts
	// unloaded holds models that were unloaded on request and whose folders have since disappeared. A new
	// folder of the same name does not load them.
	unloaded map[string]bool
	closed   bool
	notes    notes
	// alone says that there is one model. Start returns its refusal, so the log need not have it.
	alone bool
}

// Counts holds how often versions of a model were loaded and refused.
type Counts struct{ Loaded, Refused uint64 }

// State is the state of a version, in the words of the Open Inference Protocol.
type State string

// States of a version.
const (
	Ready       State = "READY"
	Loading     State = "LOADING"
	Unavailable State = "UNAVAILABLE"
)

// Status describes a version to operators.
type Status struct {
	Name, Version string
	State         State
	// Reason says why the version is not ready. For a ready version, it says why the bundle now in its
	// folder is not the one that answers.
	Reason string
	Labels []string
	// Gone says that the version answers although its folder has disappeared.
	Gone bool
	// Model is the model that answers, or nil unless the version is ready. To predict, use
	// [Repository.Get].
	Model *served.Model
}

// now returns the current status. A version whose engine has ended does not answer until the engine is
// restarted.
func (s Status) now() Status {
	if s.Model != nil {
		if down := s.Model.Engine().Down; down != nil {
			s.State, s.Reason, s.Model = Loading, down.Error(), nil
		}
	}
	return s
}

// answers reports whether m is a model whose engine runs.
func answers(m *served.Model) bool { return m != nil && m.Engine().Down == nil }

// Stable reports whether the version answers requests without a version.
func (s Status) Stable() bool { return s.Model != nil && slices.Contains(s.Labels, Stable) }

// Names returns the names of the models in a status, each once.
func Names(status []Status) []string {
	names := []string{}
	for _, s := range status {
		if n := len(names); n == 0 || names[n-1] != s.Name {
			names = append(names, s.Name)
		}
	}
	return names
}

// snapshot does not change once it is published, so that requests need no lock.
type snapshot struct {
	status []Status // by name and version
	byName map[string]*entry
	ready  []*served.Model
	loads  map[string]Counts
	// answering is the number of models that answer requests without a version.
	answering int
}

type entry struct {
	serving  *served.Model // the version that answers requests without one
	versions map[string]Status
	labels   map[string]*served.Model
}

// Fixed returns a repository of loaded models, each as its version 1. They cannot be changed, and the
// caller closes them.
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

// engine returns a function that logs the restarts of a model's isolated engine.
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

// Get returns a model, which stays open until the caller releases it. Version "" is the stable one. The
// error is served.ErrNotFound for an unknown model or version, and served.ErrNotReady for one that does
// not answer.
func (r *Repository) Get(name, version string) (*served.Model, error) {
	for {
		m, err := r.now.Load().find(name, version)
		if err != nil || m.Acquire() {
			return m, err
		}
		// The version has been retired, and a newer snapshot knows it.
	}
}

// Labelled is like Get for the version with a label.
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

// mostNames bounds the models that an error lists.
const mostNames = 10

// others lists the server's models, starting with those that share the longest prefix with name.
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

// All returns the models that answer, by name and version. To predict, use Get.
func (r *Repository) All() []*served.Model { return r.now.Load().ready }

// Status returns every known version, by name and version.
func (r *Repository) Status() []Status {
	status := r.now.Load().status
	for i, s := range status {
		if s.Model != nil && !answers(s.Model) {
			status = slices.Clone(status) // the caller may change the copy
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

// A repository is ready once it has tried every model and any of them answers, or all do. A model answers
// if its stable version does.
const (
	ReadyAny Readiness = "any"
	ReadyAll Readiness = "all"
)

// Ready reports whether the models are loaded, enough of them answer for Options.Readiness, and the server
// is not stopping.
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

// Started reports whether the repository has tried every model.
func (r *Repository) Started() bool { return r.started.Load() }

// Stopping reports whether the server is about to stop. It still answers requests.
func (r *Repository) Stopping() bool { return r.stopping.Load() }

// Stop makes Ready return false.
func (r *Repository) Stop() {
	r.stopping.Store(true)
	r.changed()
}

// Notify sets f, which is called whenever the results of Ready or Status may have changed. f must not wait
// for the repository.
func (r *Repository) Notify(f func()) { r.notify.Store(&f) }

func (r *Repository) changed() {
	if f := r.notify.Load(); f != nil {
		(*f)()
	}
}

// Close retires every model and returns when those that the repository loaded are closed. Nothing can be
// loaded afterwards.
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

// publish makes the current state visible to requests, all at once.
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
