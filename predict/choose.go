package predict

// The choice of the engine that runs a graph.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
)

// choice finds an engine for each graph of a bundle.
type choice struct {
	all    []Engine
	chosen map[string]engines.Info // by file
	passed []serving.PassedOver
}

// largeGraph is the file size, in bytes, from which engines are not compared, because each would hold the
// weights: the manifest's engine opens the graph if it can.
const largeGraph = 16 << 20

// quickGraph is the file size, in bytes, from which a graph is not expected to be quick.
const quickGraph = 256 << 10

// candidate is an engine that has opened a graph.
type candidate struct {
	engine engines.Info
	s      engines.Session
}

// open opens a graph with the engine that the manifest names, unless that cannot open it or another is
// clearly faster in the trials, or quick without a library. It calls trials only if there is a choice.
func (c *choice) open(ctx context.Context, b *bundle.Bundle, format, file string, openWith func(Engine) (engines.Session, error), trials func() ([]trial, error)) (engines.Session, error) {
	var have []string
	var able []Engine // the one that the manifest names comes first
	for _, e := range c.all {
		info := e.Info()
		if have = append(have, info.Name); info.Format.Name != format || c.refused(file, info.Name) {
			continue
		}
		if info.Name == format {
			able = slices.Insert(able, 0, e)
		} else {
			able = append(able, e)
		}
	}
	if len(able) == 0 {
		return nil, &bundle.Error{Bundle: b.Path, File: file, Err: fmt.Errorf("it needs the engine %s; this process has %v", format, have)}
	}
	trials = sync.OnceValues(trials) // it reads the golden cases
	tried := attempt{at: -1}
	if i := slices.IndexFunc(able, func(e Engine) bool { return e.Info().BuiltIn }); i >= 0 && len(able) > 1 && b.Manifest.Files[file].Size < quickGraph {
		var err error
		if tried, err = quickly(ctx, able, i, openWith, trials); err != nil {
			return nil, err
		}
		if tried.quick {
			c.chosen[file] = able[i].Info()
			for _, e := range slices.Delete(able, i, i+1) {
				c.pass(format, file, e.Info().Name, spare{fmt.Errorf("%s answers in the time that a call into a library takes", c.chosen[file].Name)})
			}
			return tried.s, nil
		}
	}
	var opened []candidate
	var failed []error
	for i, e := range able {
		if len(opened) > 0 && b.Manifest.Files[file].Size >= largeGraph {
			c.pass(format, file, e.Info().Name, spare{fmt.Errorf("the graph is large and %s runs it", opened[0].engine.Name)})
			continue
		}
		s, err := tried.s, tried.err
		if i != tried.at {
			s, err = openWith(e)
		}
		if err == nil {
			opened = append(opened, candidate{e.Info(), s})
		}
		if ctx.Err() != nil {
			if i < tried.at {
				tried.close()
			}
			closeBut(-1, opened)
			return nil, cmp.Or(err, ctx.Err())
		}
		if err != nil {
			failed = append(failed, err)
			c.pass(format, file, e.Info().Name, cause(err))
		}
	}
	if len(opened) == 0 {
		return nil, together(failed)
	}
	best := 0
	if len(opened) > 1 {
		var err error
		if best, err = c.compare(ctx, format, file, opened, trials); err != nil {
			best = -1 // which closes all of them
		}
		closeBut(best, opened)
		if err != nil {
			return nil, err
		}
	}
	c.chosen[file] = opened[best].engine
	return opened[best].s, nil
}

// attempt is what came of opening the graph with the engine at a place.
type attempt struct {
	at    int
	s     engines.Session // nil if err is not
	err   error
	quick bool
}

func (a *attempt) close() {
	if a.s != nil {
		_ = a.s.Close()
	}
}

// quickly opens the graph with an engine that loads no library. If that is quick, no library need be loaded: a call of
// one takes about as long, and the library takes tens of megabytes.
func quickly(ctx context.Context, able []Engine, at int, openWith func(Engine) (engines.Session, error), trials func() ([]trial, error)) (attempt, error) {
	a := attempt{at: at}
	if a.s, a.err = openWith(able[at]); a.err == nil {
		runs, err := trials()
		if err != nil {
			a.close()
			return a, err
		}
		a.quick = isQuick(ctx, a.s, runs)
	}
	if err := ctx.Err(); err != nil {
		a.close()
		return a, err
	}
	return a, nil
}

// closeBut closes the sessions of all candidates but one.
func closeBut(best int, opened []candidate) {
	for i, o := range opened {
		if i != best {
			_ = o.s.Close()
		}
	}
}

func (c *choice) pass(format, file, engine string, err error) {
	differs := errors.As(err, new(*ParityError))
	c.passed = append(c.passed, serving.PassedOver{
		File: file, Engine: engine, Err: err, Different: differs,
		Notable: differs || format == engine && !errors.As(err, new(spare)),
	})
}

func (c *choice) refused(file, engine string) bool {
	return slices.ContainsFunc(c.passed, func(p serving.PassedOver) bool { return p.File == file && p.Engine == engine })
}

// again prepares another attempt after a failed replay, and reports whether an engine is left for it. The
// engine whose answers differ is not tried again.
func (c *choice) again(m *bundle.Manifest, err error) bool {
	var parity *ParityError
	if !errors.As(err, &parity) || parity.Stage == StageDecode {
		return false
	}
	file, format := m.Graph.Path, m.Engine
	if parity.Stage == StagePreprocess {
		file, format = m.Picture.Preprocess, bundle.PreprocessEngine
	}
	if _, engine := c.chosen[file]; !engine {
		return false // as when forgo prepares pictures itself
	}
	// Keep the engines that could not open the graph or gave different answers.
	c.passed = slices.DeleteFunc(c.passed, func(p serving.PassedOver) bool { return errors.As(p.Err, new(spare)) })
	c.pass(format, file, c.chosen[file].Name, err)
	return slices.ContainsFunc(c.all, func(e Engine) bool {
		return e.Info().Format.Name == format && !c.refused(file, e.Info().Name)
	})
}

// cause returns an error without the bundle and the file.
func cause(err error) error {
	var folder *bundle.Error
	if errors.As(err, &folder) {
		return folder.Err
	}
	return err
}

// together joins errors. The first is that of the engine that the manifest names.
func together(errs []error) error {
	var others []string
	for _, err := range errs[1:] {
		others = append(others, cause(err).Error())
	}
	if len(others) == 0 {
		return errs[0]
	}
	all := fmt.Errorf("%w; and %s", cause(errs[0]), strings.Join(others, "; and "))
	if folder := (*bundle.Error)(nil); errors.As(errs[0], &folder) {
		return &bundle.Error{Bundle: folder.Bundle, File: folder.File, Err: all}
	}
	return all
}

// trial is a run of a session by which engines are compared.
type trial func(context.Context, engines.Session) error

const (
	// margin is how many times faster than the manifest's engine another must be. Two loads of a bundle
	// measure different times, which should not change the choice.
	margin = 1.25
	// patience limits one run of a trial; turnTime is how long each engine is measured in a turn.
	patience = 250 * time.Millisecond
	turnTime = 300 * time.Microsecond
	turns    = 9
	// measuring is the time after which no further turn begins.
	measuring = 60 * time.Millisecond
)

// quick is the longest time of each trial, one case and several, of an engine that is quick. A call of ONNX
// Runtime alone takes 3 to 5 µs.
var quick = []time.Duration{3 * time.Microsecond, 8 * time.Microsecond}

// isQuick reports whether a session is quick in every trial, by the shortest of some runs.
func isQuick(ctx context.Context, s engines.Session, trials []trial) bool {
	for i, t := range trials {
		shortest := patience
		for range quickRuns {
			took, err := measured(ctx, s, t)
			if err != nil || took > time.Millisecond {
				return false
			}
			shortest = min(shortest, took)
		}
		if shortest > quick[i] {
			return false
		}
	}
	return len(trials) > 0
}

const quickRuns = 30

// measured runs a trial, and returns how long it took.
func measured(ctx context.Context, s engines.Session, t trial) (time.Duration, error) {
	limited := limit(ctx, patience)
	defer limited.stop()
	start := time.Now()
	err := t(limited, s)
	return time.Since(start), err
}

// spare says why an engine that could run a graph does not.
type spare struct{ error }

// compare returns the index of the candidate that runs the graph. It passes over one whose trial fails or
// exceeds patience, unless that is the last.
func (c *choice) compare(ctx context.Context, format, file string, from []candidate, trials func() ([]trial, error)) (int, error) {
	runs, err := trials()
	if err != nil {
		return 0, err
	}
	best := 0
	for i := 1; i < len(from) && len(runs) > 0; i++ {
		firm, err := duel(ctx, from[best].s, from[i].s, runs)
		if err != nil {
			return 0, err
		}
		winner, loser := best, i
		if !firm {
			winner, loser = i, best
		}
		best = winner
		c.pass(format, file, from[loser].engine.Name, spare{fmt.Errorf("%s answers faster, or about as fast", from[winner].engine.Name)})
	}
	return best, nil
}

// duel reports whether own stays the session that runs the graph, rather than other.
func duel(ctx context.Context, own, other engines.Session, trials []trial) (stays bool, err error) {
	var took [2][][]time.Duration // by trial, a time for each turn
	for _, t := range trials {
		var estimate [2]time.Duration
		for i, s := range []engines.Session{own, other} {
			for range 2 { // the first run finds its memory
				var failed error
				if estimate[i], failed = measured(ctx, s, t); failed != nil {
					if err := ctx.Err(); err != nil {
						return false, err
					}
					return i == 1, nil
				}
			}
		}
		var times [2][]time.Duration
		start := time.Now()
		for turn := 0; turn < turns && (turn < 3 || time.Since(start) < measuring); turn++ {
			for side := range 2 {
				i := (side + turn) % 2 // neither is always the first
				s := [2]engines.Session{own, other}[i]
				runs := 1 + int(turnTime/max(estimate[i], 1))
				begun := time.Now()
				for range min(runs, 200) {
					if _, failed := measured(ctx, s, t); failed != nil {
						if err := ctx.Err(); err != nil {
							return false, err
						}
						return i == 1, nil
					}
				}
				times[i] = append(times[i], time.Since(begun)/time.Duration(min(runs, 200)))
			}
		}
		for i := range took {
			took[i] = append(took[i], times[i])
		}
	}
	return !overtakes(took[0], took[1]), nil
}

// overtakes compares the shortest times of each trial, which a busy machine disturbs least. The other engine
// must be clearly faster in the first, and slower in none.
func overtakes(own, other [][]time.Duration) bool {
	for i := range own {
		a, b := slices.Min(own[i]), slices.Min(other[i])
		if b > a || i == 0 && float64(a) < margin*float64(b) {
			return false
		}
	}
	return len(own) > 0
}
