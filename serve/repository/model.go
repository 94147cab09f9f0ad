package repository

// One model: its versions, and which of them answer.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

type model struct {
	name     string
	fixed    bool // loaded by others
	unloaded bool // on request, until it is loaded on request
	settings Settings
	disk     found
	versions map[string]*version
	labelled map[string]string // labels by the versions that they are on now
}

type version struct {
	state   State
	reason  string
	current *served.Model // nil unless it answers
	path    string        // where that was loaded from
	tried   uint64        // the fingerprint of what was loaded or refused last; 0 for never
	refused error         // nil if that was loaded
	noted   bool          // the refusal has been logged
	missing bool          // it was not on disk when last looked for
	gone    bool          // nor when looked for once more, though it answers
	retry   retry         // of a load that failed for want of room
}

// folderGone says why a version differs from what is on disk.
const folderGone = "its folder is gone; the loaded bundle answers until another version does"

// labels returns the version for each label. The label stable is on one if any version answers.
func (m *model) labels() map[string]string {
	labels := maps.Clone(m.labelled)
	if labels == nil {
		labels = map[string]string{}
	}
	if _, ok := m.settings.Labels[Stable]; !ok {
		before := m.versions[labels[Stable]]
		for _, number := range m.byNumber() {
			v := m.versions[number]
			if v.current == nil {
				continue
			}
			// As for every label, stable stays until the engine of the next version is back.
			if before == nil || !answers(before.current) || answers(v.current) {
				labels[Stable] = number
			}
			return labels
		}
		delete(labels, Stable)
	}
	return labels
}

// answers reports whether any version answers.
func (m *model) answers() bool {
	for _, v := range m.versions {
		if v.current != nil {
			return true
		}
	}
	return false
}

// byNumber returns the versions, highest first.
func (m *model) byNumber() []string {
	return highestFirst(slices.Collect(maps.Keys(m.versions)))
}

// update loads wanted versions that are new or have changed, and then retires unwanted ones. With again,
// it also loads unchanged versions, and does not wait for a changed folder to settle. The error joins the
// refusals of this update.
func (r *Repository) update(ctx context.Context, m *model, again bool) error {
	for number := range m.disk {
		if m.versions[number] == nil {
			m.versions[number] = &version{state: Unavailable, reason: "not selected by the version policy " + m.settings.Versions.String()}
		}
	}
	for number, v := range m.versions {
		_, there := m.disk[number]
		switch {
		case there && v.gone:
			v.missing, v.gone, v.reason = false, false, ""
			r.options.Log.Info("folder is back", "model", m.name, "version", number)
		case there:
			v.missing = false
		case v.current == nil:
			delete(m.versions, number)
		case !v.missing && !again:
			v.missing = true // another may be replacing it at this moment
		case !v.gone:
			v.missing, v.gone, v.reason = true, true, folderGone
			r.options.Log.Warn("folder is gone", "model", m.name, "version", number, "path", v.path, "answering", !m.unloaded)
		}
	}
	if m.unloaded {
		for number := range m.versions {
			r.drop(m, number, "unloaded on request")
		}
		m.labelled = nil
		r.publish()
		return nil
	}
	var errs []error
	keep := map[string]bool{}
	seen := map[string]bool{} // the policy and labels may want the same version, which is loaded once
	want := func(number string) bool {
		v := m.versions[number]
		if seen[number] {
			return v != nil && v.current != nil
		}
		keep[number], seen[number] = true, true
		if v == nil {
			errs = append(errs, fmt.Errorf("model %q has no version %s on disk", m.name, number))
			return false
		}
		if v.missing {
			return true
		}
		if err := r.refresh(ctx, m, number, v, again); err != nil {
			errs = append(errs, err)
		}
		return v.current != nil
	}
	policy := m.settings.Versions
	switch {
	case policy.all:
		for _, number := range m.byNumber() {
			if !m.versions[number].gone { // a version that was deleted is not one of all
				want(number)
			}
		}
	case policy.named != nil:
		for _, number := range policy.named {
			want(number)
		}
	default:
		left := max(policy.latest, 1)
		for _, number := range m.byNumber() {
			if left > 0 && !m.versions[number].gone && want(number) {
				left--
			}
		}
	}
	labelled := map[string]string{}
	// The label moves from it, if nothing says to which.
	if stable, on := m.labelled[Stable]; on {
		labelled[Stable] = stable
	}
	for label, number := range m.settings.Labels {
		labelled[label] = number
		if want(number) && answers(m.versions[number].current) {
			continue
		}
		// The label stays until the version that it moves to answers.
		if old := m.versions[m.labelled[label]]; old != nil && answers(old.current) {
			labelled[label] = m.labelled[label]
			keep[labelled[label]] = true
		}
	}
	m.labelled = labelled
	r.noteAbsent(m)
	r.retire(m, keep)
	// Settings may move stable to a version that does not answer yet.
	m.labelled = m.labels()
	r.publish()
	return errors.Join(errs...)
}

// retire drops the versions that are not wanted, once one that is wanted answers: however the one that answers
// came to be unwanted, traffic does not go with it. One whose engine has ended does not answer.
func (r *Repository) retire(m *model, keep map[string]bool) {
	succeeded := false
	for number := range keep {
		v := m.versions[number]
		succeeded = succeeded || v != nil && !v.gone && answers(v.current)
	}
	for number, v := range m.versions {
		switch {
		case keep[number], v.current != nil && !succeeded:
		case v.gone:
			r.drop(m, number, "its folder is gone")
			delete(m.versions, number)
		default:
			r.drop(m, number, "not selected by the version policy "+m.settings.Versions.String())
		}
	}
}

// noteAbsent logs labels and policies that name versions which are not on disk.
func (r *Repository) noteAbsent(m *model) {
	for label, number := range m.settings.Labels {
		if m.versions[number] == nil {
			r.say("no such version", "model", m.name, "label", label, "version", number, "versions", m.byNumber())
		}
	}
	for _, number := range m.settings.Versions.named {
		if m.versions[number] == nil {
			r.say("no such version", "model", m.name, "policy", m.settings.Versions.String(), "version", number, "versions", m.byNumber())
		}
	}
}

// refresh makes the bundle in a version's folder the one that answers, unless it already does or was
// refused before.
func (r *Repository) refresh(ctx context.Context, m *model, number string, v *version, again bool) error {
	path := m.disk[number]
	mark := uint64(1)
	if path != r.options.Packed {
		mark = fingerprint(path)
	}
	if !again && v.tried == mark && !v.retry.due() {
		// The folder keeps changing while a copy is under way. A refusal is final once the folder is
		// stable.
		if v.refused != nil && !v.noted {
			r.note(m, number, v)
		}
		return nil
	}
	if v.current == nil {
		v.state, v.reason = Loading, "it is loading"
		r.publish()
	}
	if !v.retry.waiting() {
		r.options.Log.Info("loading", "model", m.name, "version", number, "path", path)
	}
	said := v.noted && v.retry.waiting() && v.refused != nil
	loaded, err := r.options.Load(ctx, path, m.settings)
	v.tried, v.noted = mark, said && err != nil && err.Error() == v.refused.Error()
	v.refused = err
	v.retry.after(err)
	if err != nil {
		if ctx.Err() != nil {
			v.tried = 0 // it was not refused: time ran out
		}
		if v.reason = err.Error(); v.current == nil {
			v.state = Unavailable
		}
		if !v.noted && !r.alone && (again || v.retry.waiting() || !errors.As(err, new(*bundle.Error))) {
			r.note(m, number, v)
		}
		r.publish()
		return fmt.Errorf("version %s of model %q is refused: %w", number, m.name, err)
	}
	old := v.current
	v.current = r.serve(m.name, number, loaded, func() { _ = loaded.Close() })
	v.state, v.reason, v.path = Ready, "", path
	r.count(m.name, func(c *Counts) { c.Loaded++ })
	r.options.Log.Info("loaded", "model", m.name, "version", number, "digest", loaded.Digest()[:12], "engine", serving.Of(loaded).Engine().Info.Name, "parity", loaded.Parity().String())
	for _, p := range serving.Of(loaded).Engine().Passed {
		if p.Warn() {
			r.options.Log.Warn("engine passed over", "model", m.name, "version", number, "engine", p.Engine, "file", p.File, "error", p.Err.Error())
		}
	}
	r.publish()
	if old != nil {
		old.Retire()
	}
	return nil
}

// note logs once that a version was refused.
func (r *Repository) note(m *model, number string, v *version) {
	v.noted = true
	r.count(m.name, func(c *Counts) { c.Refused++ })
	answering := []string{}
	for _, other := range m.byNumber() {
		if m.versions[other].current != nil {
			answering = append(answering, other)
		}
	}
	r.options.Log.Error("refused", "model", m.name, "version", number, "error", v.refused.Error(), "answering", answering)
}

func (r *Repository) count(name string, change func(*Counts)) {
	c := r.counts[name]
	change(&c)
	r.counts[name] = c
}

// drop retires a version that answers. It keeps a refusal in the status.
func (r *Repository) drop(m *model, number, reason string) {
	v := m.versions[number]
	if v.current == nil {
		if v.refused == nil {
			v.state, v.reason = Unavailable, reason
		}
		return
	}
	old := v.current
	v.current, v.tried, v.state, v.reason, v.gone = nil, 0, Unavailable, reason, false
	r.options.Log.Info("unloaded", "model", m.name, "version", number, "reason", reason)
	r.publish()
	old.Retire()
}
