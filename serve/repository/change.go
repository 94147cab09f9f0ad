package repository

// Changes of the models: at the start, on request, and when their folders change.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// ErrFixed is wrapped by the error of every change to a repository of [Fixed] models.
var ErrFixed = errors.New("this server's models are fixed at its start; restart it to change them")

// Open returns a repository with its models loaded. It combines [New] and [Repository.Start].
func Open(ctx context.Context, paths []string, name string, o Options) (*Repository, error) {
	r, err := New(paths, name, o)
	if err != nil {
		return nil, err
	}
	if err := r.Start(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// New finds the models of paths, each a bundle or a folder of models, and of settings with a path of their
// own. It loads none. If paths is one bundle, name is the model's name; "" means the name of its folder.
func New(paths []string, name string, o Options) (*Repository, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	r := &Repository{options: o, models: map[string]*model{}, counts: map[string]Counts{}, unloaded: map[string]bool{}, notes: notes{said: map[string]bool{}}}
	if err := r.find(paths, name); err != nil {
		return nil, err
	}
	if err := r.scan(); err != nil {
		return nil, err
	}
	if len(r.models) == 0 {
		return nil, fmt.Errorf("no models in %s: a folder of models has bundles at NAME/VERSION, VERSION a number", strings.Join(paths, ", "))
	}
	for _, m := range r.models {
		for number := range m.disk {
			m.versions[number] = &version{state: Loading, reason: "it is not loaded yet"}
		}
	}
	r.publish()
	return r, nil
}

// Start loads every model once. It fails if no model has a proven version or, with Options.Strict, if any
// model has none. It logs other refusals. Further calls do nothing.
func (r *Repository) Start(ctx context.Context) error {
	r.work.Lock()
	defer r.work.Unlock()
	if r.started.Load() || r.closed {
		return nil
	}
	r.alone = len(r.models) == 1
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.models)) {
		m := r.models[name]
		err := r.update(ctx, m, true)
		if ctx.Err() != nil {
			return fmt.Errorf("load models: %w", ctx.Err())
		}
		if err != nil && r.now.Load().byName[name].serving == nil {
			errs = append(errs, err)
		}
		for _, number := range m.byNumber() {
			if v := m.versions[number]; v.refused != nil && !v.noted && r.now.Load().answering > 0 {
				r.note(m, number, v)
			}
		}
	}
	r.alone = false
	if len(errs) > 0 && (r.options.Strict || r.now.Load().answering == 0) {
		return errors.Join(errs...)
	}
	r.noteUnknown()
	r.started.Store(true)
	r.publish()
	return nil
}

// find determines what each path is.
func (r *Repository) find(paths []string, name string) error {
	for _, path := range paths {
		p := source{path: path}
		if p.here = r.options.Packed != "" && path == r.options.Packed; p.here || isBundle(path) || !isDir(path) {
			p.name = cmp.Or(name, modelName(path))
		} else if name != "" {
			return fmt.Errorf("%s is a folder of models, which have their own names: a name needs one bundle", path)
		}
		r.sources = append(r.sources, p)
	}
	if name != "" && len(paths) != 1 {
		return fmt.Errorf("a name needs one bundle, got %d", len(paths))
	}
	for name, s := range r.options.Models {
		if s.Path != "" {
			r.sources = append(r.sources, source{path: s.Path, name: name})
		}
	}
	seen := map[string]string{}
	for _, p := range r.sources {
		if p.name == "" {
			continue
		}
		if strings.ContainsAny(p.name, `/\:`) || p.name == "." || p.name == ".." {
			return fmt.Errorf("%q cannot name a model: a name has no / \\ : and is not only dots", p.name)
		}
		if other, ok := seen[p.name]; ok {
			return fmt.Errorf("%s and %s are both named %q: rename one", other, p.path, p.name)
		}
		seen[p.name] = p.path
	}
	return nil
}

// scan looks at the sources again. A model that has disappeared has no versions on disk. scan fails if a
// source cannot be read, which it logs once; it still uses the other sources.
func (r *Repository) scan() error {
	var errs []error
	there, ignored := map[string]found{}, map[string]string{}
	for i := range r.sources {
		p := &r.sources[i]
		models, passed, err := p.look()
		if err != nil && p.name != "" {
			// Loading reports what is wrong, unless the model answers already.
			if m := r.models[p.name]; m == nil || !m.answers() {
				models, err = map[string]found{p.name: {single: p.path}}, nil
			}
		}
		r.noteSource(p, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("look for models in %s: %w", p.path, err))
		}
		maps.Copy(ignored, passed)
		for name, f := range models {
			if _, ok := there[name]; !ok {
				there[name] = f
			}
		}
	}
	r.round()
	r.passOver(ignored)
	for name, f := range there {
		if r.models[name] == nil {
			r.models[name] = &model{name: name, versions: map[string]*version{}, settings: r.settings(name), unloaded: r.unloaded[name]}
		}
		r.models[name].disk = f
	}
	for name, m := range r.models {
		if _, ok := there[name]; !ok {
			m.disk = nil
		}
	}
	return errors.Join(errs...)
}

// noteSource logs once that a source cannot be read, and once that it can be read again.
func (r *Repository) noteSource(p *source, err error) {
	was := p.err
	if p.err = ""; err != nil {
		p.err = err.Error()
	}
	switch {
	case p.err == was || len(r.models) == 0:
		// At the start the error says so.
	case err != nil:
		r.options.Log.Error("folder is not readable; its loaded models still answer", "path", p.path, "error", p.err)
	default:
		r.options.Log.Info("folder is readable again", "path", p.path)
	}
}

// noteUnknown logs settings that belong to no model.
func (r *Repository) noteUnknown() {
	for name := range r.options.Models {
		if r.models[name] == nil {
			r.options.Log.Warn("settings for a model that does not exist", "model", name, "models", slices.Sorted(maps.Keys(r.models)))
		}
	}
}

func (r *Repository) settings(name string) Settings {
	return r.options.Models[name].or(r.options.Defaults)
}

// Refresh looks at the sources once, and loads, swaps and retires versions accordingly. It logs failures
// and records them in the status.
func (r *Repository) Refresh(ctx context.Context) {
	r.work.Lock()
	defer r.work.Unlock()
	if r.closed || !r.started.Load() {
		return
	}
	_ = r.scan() // scan logs what is wrong
	for _, name := range slices.Sorted(maps.Keys(r.models)) {
		m := r.models[name]
		_ = r.update(ctx, m, false)
		if len(m.versions) == 0 {
			delete(r.models, name)
			r.unloaded[name] = m.unloaded
			r.publish()
		}
	}
}

// Load loads the wanted versions of a model again from its folder. If a version is refused, the error says
// why, and the version that answered before goes on.
func (r *Repository) Load(ctx context.Context, name string) error {
	r.work.Lock()
	defer r.work.Unlock()
	if m := r.models[name]; m != nil && m.fixed {
		return ErrFixed
	}
	if r.closed {
		return fmt.Errorf("load model %q: %w", name, predict.ErrClosed)
	}
	err := r.scan()
	m := r.models[name]
	switch {
	case m == nil && err != nil:
		return err
	case m == nil:
		return served.NotFound("no such model %s; %s", tensor.Quote(name), others(name, slices.Collect(maps.Keys(r.models))))
	case len(m.disk) == 0:
		return fmt.Errorf("load model %q: its folder is gone; the loaded version still answers", name)
	}
	m.unloaded = false
	delete(r.unloaded, name)
	return r.update(ctx, m, true)
}

// Unload retires all versions of a model. The model stays unloaded until Load.
func (r *Repository) Unload(ctx context.Context, name string) error {
	r.work.Lock()
	defer r.work.Unlock()
	m := r.models[name]
	switch {
	case m == nil:
		return served.NotFound("no such model %s; %s", tensor.Quote(name), others(name, slices.Collect(maps.Keys(r.models))))
	case m.fixed:
		return ErrFixed
	}
	m.unloaded = true
	return r.update(ctx, m, false)
}

// Configure replaces the settings of models. It reloads a model if settings other than labels and version
// policies change. Paths cannot change.
func (r *Repository) Configure(ctx context.Context, models map[string]Settings) {
	r.work.Lock()
	r.options.Models = models
	for name, m := range r.models {
		old, s := m.settings, r.settings(name)
		s.Path = old.Path
		m.settings = s
		old.Versions, old.Labels = s.Versions, s.Labels
		if !reflect.DeepEqual(old, s) {
			for _, v := range m.versions {
				v.tried = 0
			}
		}
	}
	r.noteUnknown()
	r.work.Unlock()
	r.Refresh(ctx)
}

// Reload is like Refresh, but also tries refused versions again.
func (r *Repository) Reload(ctx context.Context) {
	r.work.Lock()
	for _, m := range r.models {
		for _, v := range m.versions {
			if v.refused != nil {
				v.tried = 0
			}
		}
	}
	r.work.Unlock()
	r.Refresh(ctx)
}
