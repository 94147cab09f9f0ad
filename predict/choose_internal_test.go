package predict

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
)

func TestOvertakes(t *testing.T) {
	times := func(of ...time.Duration) []time.Duration { return of }
	for name, c := range map[string]struct {
		own, other [][]time.Duration
		want       bool
	}{
		"nothing measured":   {nil, nil, false},
		"clearly faster":     {[][]time.Duration{times(130)}, [][]time.Duration{times(100)}, true},
		"about as fast":      {[][]time.Duration{times(120)}, [][]time.Duration{times(100)}, false},
		"one slow turn":      {[][]time.Duration{times(100, 100, 900)}, [][]time.Duration{times(90, 90, 90)}, false},
		"slower in batches":  {[][]time.Duration{times(200), times(100)}, [][]time.Duration{times(100), times(101)}, false},
		"as fast in batches": {[][]time.Duration{times(200), times(100)}, [][]time.Duration{times(100), times(100)}, true},
	} {
		if got := overtakes(c.own, c.other); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// offered is an engine that is only offered: the test opens its sessions.
type offered struct {
	Engine
	info engines.Info
}

func (o offered) Info() engines.Info { return o.info }

// opened is a session that says which engine it is of, and whether it is closed.
type opened struct {
	engines.Session
	of     string
	closed bool
}

func (o *opened) Close() error {
	o.closed = true
	return nil
}

func TestNoLibraryIsLoadedForAQuickGraph(t *testing.T) {
	wait := func(d time.Duration) trial {
		return func(context.Context, engines.Session) error {
			if d > 0 {
				time.Sleep(d)
			}
			return nil
		}
	}
	broken := func(context.Context, engines.Session) error { return errors.New("broken") }
	for name, c := range map[string]struct {
		size    int64
		opens   bool
		trials  []trial
		library bool // is loaded
	}{
		"quick":             {1 << 10, true, []trial{wait(0), wait(0)}, false},
		"quick, one case":   {1 << 10, true, []trial{wait(0)}, false},
		"slow with one":     {1 << 10, true, []trial{wait(quick[0])}, true},
		"slow with several": {1 << 10, true, []trial{wait(0), wait(quick[1])}, true},
		"it fails":          {1 << 10, true, []trial{broken}, true},
		"nothing to run":    {1 << 10, true, nil, true},
		"it does not open":  {1 << 10, false, []trial{wait(0)}, true},
		"a large graph":     {quickGraph, true, []trial{wait(0)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			format := engines.Format{Name: "lib"}
			all := []Engine{offered{info: engines.Info{Name: "lib", Format: format}}, offered{info: engines.Info{Name: "go", Format: format, BuiltIn: true}}}
			b := &bundle.Bundle{Manifest: bundle.Manifest{Files: map[string]bundle.File{"g": {Size: c.size}}}}
			made := map[string]*opened{}
			chooses := choice{all: all, chosen: map[string]engines.Info{}}
			s, err := chooses.open(t.Context(), b, "lib", "g", func(e Engine) (engines.Session, error) {
				o := &opened{of: e.Info().Name}
				if !c.opens && o.of == "go" {
					return nil, errors.New("unknown operator")
				}
				made[o.of] = o
				return o, nil
			}, func() ([]trial, error) { return c.trials, nil })
			if err != nil {
				t.Fatal(err)
			}
			if loaded := made["lib"] != nil; loaded != c.library {
				t.Errorf("the library is loaded: %t", loaded)
			}
			if !c.library && (chooses.chosen["g"].Name != "go" || len(chooses.passed) != 1 || chooses.passed[0].Notable) {
				t.Errorf("%s runs it; %v", chooses.chosen["g"].Name, chooses.passed)
			}
			for _, o := range made {
				if o.closed == (o == s) {
					t.Errorf("%s runs the graph: %t, and is closed: %t", o.of, o == s, o.closed)
				}
			}
		})
	}
}
