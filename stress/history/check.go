//go:build linux

package main

// What a server may answer, by what was on disk and by the order in which things happened.
//
// The rules are about real time: of two things that overlap either may have come first, and
// whatever one of the orders allows is allowed.

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// check returns what contradicts the promises, in order of time.
func check(events []Event) []string {
	c := &checker{contents: map[int]Event{}, models: map[string]*timeline{}}
	for _, e := range events {
		c.sort(e)
	}
	for _, m := range c.models {
		slices.SortFunc(m.answers, byStart)
		m.byEnd = slices.Clone(m.answers)
		slices.SortFunc(m.byEnd, func(a, b Event) int { return cmp.Compare(a.End, b.End) })
	}
	for _, m := range c.models {
		for _, e := range m.answers {
			c.answer(m, e)
		}
		c.backwards(m)
		c.unloaded(m)
		for _, x := range m.exact {
			c.exact(m, x)
		}
	}
	for _, e := range c.ready {
		c.readiness(e)
	}
	for _, e := range c.operators {
		c.operator(e)
	}
	slices.SortStableFunc(c.found, func(a, b finding) int { return cmp.Compare(a.at, b.at) })
	var found []string
	for _, f := range c.found {
		found = append(found, f.text)
	}
	return found
}

type finding struct {
	at   int64
	text string
}

// timeline is what happened to one model.
type timeline struct {
	answers, byEnd []Event // by their starts, and by their ends
	unloads, loads []Event
	changes        []Event // after which what was exact need not be
	exact          []Event
}

type checker struct {
	contents  map[int]Event
	models    map[string]*timeline
	downs     []Event
	kills     []Event
	faults    []Event
	shared    []Event // changes of no single model
	ready     []Event
	operators []Event
	found     []finding
}

func byStart(a, b Event) int { return cmp.Compare(a.Start, b.Start) }

func (c *checker) model(name string) *timeline {
	if c.models[name] == nil {
		c.models[name] = &timeline{}
	}
	return c.models[name]
}

func (c *checker) sort(e Event) {
	switch e.Kind {
	case Answer:
		m := c.model(e.Model)
		m.answers = append(m.answers, e)
	case Ready:
		c.ready = append(c.ready, e)
	case Write:
		c.contents[e.Content] = e
		m := c.model(e.Model)
		m.changes = append(m.changes, e)
	case Load, Unload:
		m := c.model(e.Model)
		if e.Kind == Load {
			m.loads = append(m.loads, e)
		} else {
			m.unloads = append(m.unloads, e)
		}
		m.changes = append(m.changes, e)
		c.operators = append(c.operators, e)
	case Exact:
		m := c.model(e.Model)
		m.exact = append(m.exact, e)
	case Down, Fault, Disturb, Kill:
		switch e.Kind {
		case Kill:
			c.kills = append(c.kills, e)
		case Down:
			c.downs = append(c.downs, e)
		case Fault:
			c.faults = append(c.faults, e)
		}
		if e.Model == "" {
			c.shared = append(c.shared, e)
		} else {
			m := c.model(e.Model)
			m.changes = append(m.changes, e)
		}
	}
}

func (c *checker) find(e Event, format string, args ...any) {
	c.found = append(c.found, finding{e.Start, fmt.Sprintf(format, args...) + ": " + e.String()})
}

// answer checks one answer by itself.
func (c *checker) answer(m *timeline, e Event) {
	switch e.Status {
	case 200:
		w, ok := c.contents[e.Content]
		switch {
		case !ok:
			c.find(e, "an answer that no content gives")
		case w.Model != e.Model:
			c.find(e, "the answer of another model, %s", w.Model)
		case !w.Proven:
			c.find(e, "the answer of a content that was never proven")
		case e.Version != "" && e.Version != w.Version:
			c.find(e, "the answer of version %s", w.Version)
		case e.Said != "" && e.Said != w.Version:
			c.find(e, "the answer is version %s's and says that it is %s's", w.Version, e.Said)
		case e.End < w.Start:
			c.find(e, "the answer of a content before it was written")
		}
	case 0:
		if !overlaps(c.downs, e) && !overlaps(c.faults, e) {
			c.find(e, "a request without an answer, while the server ran")
		}
	case 404, 503:
		if e.Version == "" && e.Label == "" {
			if before, ok := c.answered(m, e); ok {
				c.find(e, "a model that answers what names no version did not, after %s", before)
			}
		}
	default:
		c.find(e, "a status that nothing explains")
	}
}

// answered returns an answer to a request that named no version, from which on, until e ended,
// nothing happened that may take the model away.
func (c *checker) answered(m *timeline, e Event) (Event, bool) {
	from := int64(0)
	for _, list := range [][]Event{m.unloads, c.downs, c.kills} {
		for _, b := range list {
			if b.Start < e.End {
				from = max(from, b.End)
			}
		}
	}
	i, _ := slices.BinarySearchFunc(m.answers, from, func(a Event, at int64) int { return cmp.Compare(a.Start, at) })
	for ; i < len(m.answers) && m.answers[i].Start < e.Start; i++ {
		if a := m.answers[i]; a.Status == 200 && a.Version == "" && a.Label == "" && a.End <= e.Start {
			return a, true
		}
	}
	return Event{}, false
}

// backwards finds answers of a version's content after a later one had answered: its files were
// overwritten, so it cannot have been loaded again.
func (c *checker) backwards(m *timeline) {
	last := map[string]Event{}
	next := 0
	for _, e := range m.answers {
		for ; next < len(m.byEnd) && m.byEnd[next].End < e.Start; next++ {
			a := m.byEnd[next]
			if w, ok := c.contents[a.Content]; ok && a.Status == 200 && a.Content > last[w.Version].Content {
				last[w.Version] = a
			}
		}
		if w, ok := c.contents[e.Content]; ok && e.Status == 200 && e.Content < last[w.Version].Content {
			c.find(e, "the answer of what was in the folder before, after %s", last[w.Version])
		}
	}
}

// unloaded finds answers of a model that had been unloaded and nobody had asked to load.
func (c *checker) unloaded(m *timeline) {
	for _, u := range m.unloads {
		if u.Status != 200 {
			continue
		}
		until := int64(math.MaxInt64)
		for _, list := range [][]Event{m.loads, c.downs} {
			for _, o := range list {
				if o.End > u.Start {
					until = min(until, o.Start)
				}
			}
		}
		for _, e := range m.answers {
			if e.Status == 200 && e.Start >= u.End && e.End <= until {
				c.find(e, "the answer of a model that was unloaded by %s", u)
			}
		}
	}
}

// exact checks the answers of a time in which all is known.
func (c *checker) exact(m *timeline, x Event) {
	until := int64(math.MaxInt64)
	for _, list := range [][]Event{m.changes, c.shared} {
		for _, o := range list {
			if o.End > x.End {
				until = min(until, o.Start)
			}
		}
	}
	i, _ := slices.BinarySearchFunc(m.answers, x.End, func(a Event, at int64) int { return cmp.Compare(a.Start, at) })
	for ; i < len(m.answers) && m.answers[i].Start < until; i++ {
		e := m.answers[i]
		if e.End > until {
			continue
		}
		version := cmp.Or(e.Version, x.Labels[cmp.Or(e.Label, "stable")])
		want, answers := x.Versions[version]
		switch {
		case answers && (e.Status != 200 || e.Content != want):
			c.find(e, "version %s answers %d by then, by %s", version, want, x)
		case !answers && e.Status == 200:
			c.find(e, "version %q answers, which does not by then, by %s", version, x)
		}
	}
}

// readiness checks whether the server said rightly that it is ready.
func (c *checker) readiness(e Event) {
	switch {
	case e.Status == 0:
		if !overlaps(c.downs, e) && !overlaps(c.faults, e) {
			c.find(e, "a request without an answer, while the server ran")
		}
	case e.Status != 200 && e.Status != 503:
		c.find(e, "a status that nothing explains")
	case e.Status == 503:
		for _, m := range c.models {
			if before, ok := c.answered(m, e); ok {
				c.find(e, "the server says that it is not ready, after %s", before)
				return
			}
		}
	}
}

// operator checks what operators were told.
func (c *checker) operator(e Event) {
	allowed := []int{200, 404}
	if e.Kind == Load {
		allowed = append(allowed, 409)
	}
	if overlaps(c.downs, e) || overlaps(c.faults, e) || overlaps(c.kills, e) {
		allowed = append(allowed, 0, 409, 503)
	}
	if !slices.Contains(allowed, e.Status) {
		c.find(e, "a status that nothing explains")
	}
}

// overlaps says whether one of the events may have been while e was.
func overlaps(list []Event, e Event) bool {
	return slices.ContainsFunc(list, func(o Event) bool { return o.Start <= e.End && e.Start <= o.End })
}
