package serve

// Which models there are, by name, version and label.

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// Models are the models that a server offers, by name.
type Models map[string]*predict.Model

// Version is what a model served from a single bundle calls its version, and Label the name
// that clients may use for it.
const (
	Version = "1"
	Label   = "stable"
)

type catalog struct {
	models   []*served.Model // by name
	byName   map[string]*served.Model
	stopping atomic.Bool
}

func newCatalog(models Models, l served.Limits) *catalog {
	c := &catalog{byName: map[string]*served.Model{}}
	for name, m := range models {
		s := &served.Model{Model: m, Name: name, Version: Version, Labels: []string{Label}, Limits: l}
		c.models = append(c.models, s)
		c.byName[name] = s
	}
	slices.SortFunc(c.models, func(a, b *served.Model) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

// Get returns a model; version "" is the one that is served.
func (c *catalog) Get(name, version string) (*served.Model, error) {
	m, ok := c.byName[name]
	if !ok {
		return nil, served.NotFound("there is no model %q", name)
	}
	if version != "" && version != m.Version {
		return nil, served.NotFound("model %q has no version %q, only %q", name, version, m.Version)
	}
	return m, nil
}

// Labelled returns the version of a model that has a label.
func (c *catalog) Labelled(name, label string) (*served.Model, error) {
	m, err := c.Get(name, "")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(m.Labels, label) {
		return nil, served.NotFound("model %q has no version labelled %q, only %q", name, label, m.Labels)
	}
	return m, nil
}

func (c *catalog) All() []*served.Model { return c.models }

// observed are the models as they are watched.
func (c *catalog) observed() []observe.Model {
	list := make([]observe.Model, len(c.models))
	for i, m := range c.models {
		list[i] = m.Observed()
	}
	return list
}

func (c *catalog) Ready() bool { return !c.stopping.Load() }
