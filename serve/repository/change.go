package repository

// How the models change: at the start, on request, and as their folders do.

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
	"time"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// ErrFixed is wrapped by the errors of changes to a repository of [Fixed] models.
var ErrFixed = errors.New("this server answers with the models that it was started with; start it again to change them")

// Open loads the models of bundles and of folders of models, and of the settings that have a
// path of their own. name is the model's where paths are one bundle; "" is its folder's name.
// It fails where any model has no version that can be proven to answer as it was trained.
func Open(ctx context.Context, paths []string, name string, o Options) (*Repository, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	r := &Repository{options: o, models: map[string]*model{}, counts: map[string]Counts{}}
	if err := r.find(paths, name); err != nil {
		return nil, err
	}
	errs := []error{r.start(ctx)}
	if len(r.models) == 0 {
		errs = append(errs, fmt.Errorf("there are no models in %s: a folder of models has a bundle at NAME/VERSION, VERSION a number", strings.Join(paths, ", ")))
	}
	if err := errors.Join(errs...); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// start loads every model once. Its error has the refusals of models that then have no version
// that answers; those of other models are logged.
func (r *Repository) start(ctx context.Context) error {
	r.work.Lock()
	defer r.work.Unlock()
	r.publish()
	if err := r.scan(); err != nil {
		return err
	}
	r.opening = true
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.models)) {
		m := r.models[name]
		if err := r.update(ctx, m, true); err != nil && r.now.Load().byName[name].serving == nil {
			errs = append(errs, err)
			continue
		}
		for _, number := range m.byNumber() {
			if v := m.versions[number]; v.refused != nil {
				r.note(m, number, v)
			}
		}
	}
	r.opening = false
	return errors.Join(errs...)
}

// find sorts out what the paths are.
func (r *Repository) find(paths []string, name string) error {
	for _, path := range paths {
		p := place{path: path}
		if isBundle(path) || !isDir(path) {
			p.name = cmp.Or(name, modelName(path))
		} else if name != "" {
			return fmt.Errorf("%s is a folder of models, each with a name of its own: a name is for one bundle", path)
		}
		r.places = append(r.places, p)
	}
	if name != "" && len(paths) != 1 {
		return fmt.Errorf("a name is for one bundle, not %d", len(paths))
	}
	for name, s := range r.options.Models {
		if s.Path != "" {
			r.places = append(r.places, place{path: s.Path, name: name})
		}
	}
	seen := map[string]string{}
	for _, p := range r.places {
		if p.name == "" {
			continue
		}
		if strings.ContainsAny(p.name, `/\:`) || p.name == "." || p.name == ".." {
			return fmt.Errorf("%q cannot be a model's name: it has one of / \\ : or is only dots", p.name)
		}
		if other, ok := seen[p.name]; ok {
			return fmt.Errorf("%s and %s would both be model %q", other, p.path, p.name)
		}
		seen[p.name] = p.path
	}
	return nil
}

// scan looks at the places. A model that is not there any more has no versions.
func (r *Repository) scan() error {
	var errs []error
	there := map[string]found{}
	for _, p := range r.places {
		models, err := p.look()
		if err != nil {
			if p.name == "" { // its models stay as they are: nothing is known of them
				errs = append(errs, fmt.Errorf("look for models in %s: %w", p.path, err))
				continue
			}
			models = map[string]found{p.name: {single: p.path}} // whose loading will say what is wrong
		}
		for name, f := range models {
			if _, ok := there[name]; !ok {
				there[name] = f
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for name, f := range there {
		if r.models[name] == nil {
			r.models[name] = &model{name: name, versions: map[string]*version{}, settings: r.settings(name)}
		}
		r.models[name].disk = f
	}
	for name, m := range r.models {
		if _, ok := there[name]; !ok {
			m.disk = nil
		}
	}
	return nil
}

func (r *Repository) settings(name string) Settings {
	return r.options.Models[name].or(r.options.Defaults)
}

// Refresh looks at the places once, and loads, swaps and retires as they have changed. What
// fails is logged and stands in the status.
func (r *Repository) Refresh(ctx context.Context) {
	r.work.Lock()
	defer r.work.Unlock()
	if r.closed {
		return
	}
	if err := r.scan(); err != nil {
		r.options.Log.Error("watch", "error", err.Error())
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.models)) {
		m := r.models[name]
		_ = r.update(ctx, m, false)
		if len(m.versions) == 0 {
			delete(r.models, name)
			r.publish()
		}
	}
}

// Watch refreshes every so often until ctx ends. settings is asked before each time; true means
// that those of the models are others now, see [Repository.Configure].
func (r *Repository) Watch(ctx context.Context, every time.Duration, settings func() (map[string]Settings, bool)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if models, changed := settings(); changed {
				r.Configure(ctx, models)
			} else {
				r.Refresh(ctx)
			}
		}
	}
}

// Load loads a model's wanted versions again from its folder. Where one is refused the error
// says why; what answered before goes on.
func (r *Repository) Load(ctx context.Context, name string) error {
	r.work.Lock()
	defer r.work.Unlock()
	if m := r.models[name]; m != nil && m.fixed {
		return ErrFixed
	}
	if r.closed {
		return fmt.Errorf("load model %q: %w", name, predict.ErrClosed)
	}
	if err := r.scan(); err != nil {
		return err
	}
	m := r.models[name]
	if m == nil {
		return served.NotFound("there is no model %q in the repository", name)
	}
	m.unloaded = false
	return r.update(ctx, m, true)
}

// Unload retires all versions of a model, which stays away until Load.
func (r *Repository) Unload(ctx context.Context, name string) error {
	r.work.Lock()
	defer r.work.Unlock()
	m := r.models[name]
	switch {
	case m == nil:
		return served.NotFound("there is no model %q", name)
	case m.fixed:
		return ErrFixed
	}
	m.unloaded = true
	return r.update(ctx, m, false)
}

// Configure gives models other settings. What has changed but labels and version policies is
// loaded again. Paths cannot be changed.
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
	r.work.Unlock()
	r.Refresh(ctx)
}
