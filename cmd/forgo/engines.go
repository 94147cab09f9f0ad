package main

// The engines that this binary has, and the flag that chooses among them.

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/internal/printable"
	access "github.com/forgo-ml/forgo/internal/serving"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
)

// engineOf is the engine of a format that runs graphs outside of bundles: the first whose library is there.
func engineOf(all []predict.Engine, format string) (first predict.Engine, err error) {
	for _, e := range all {
		if e.Info().Format.Name != format {
			continue
		}
		if _, err := e.Library(); err == nil {
			return e, nil
		}
		if first == nil {
			first = e // its error says what is missing
		}
	}
	if first == nil {
		return nil, usageError{fmt.Errorf("--engine excludes every engine for %s graphs", format)}
	}
	return first, nil
}

// reader returns the first engine of a format that reads graphs outside of bundles, or nil.
func reader(format string) engines.Inspector {
	for _, e := range allEngines() {
		if i, ok := e.(engines.Inspector); ok && e.Info().Format.Name == format {
			return i
		}
	}
	return nil
}

// engineFlag is which engine runs models; "" leaves it to Load.
type engineFlag string

func (f *engineFlag) String() string { return cmp.Or(string(*f), "auto") }
func (f *engineFlag) Type() string   { return "engine" }

func (f *engineFlag) Set(value string) error {
	if value == "auto" {
		*f = ""
		return nil
	}
	for _, e := range allEngines() {
		if flag := flagOf(e); value == flag || value == e.Info().Name {
			*f = engineFlag(flag)
			return nil
		}
	}
	return fmt.Errorf("must be %s or auto, not %q", strings.Join(engineFlags(), ", "), value)
}

func (f *engineFlag) add(flags *pflag.FlagSet) {
	var titled []string
	for _, e := range allEngines() {
		titled = append(titled, flagOf(e)+" ("+e.Info().Title+")")
	}
	flags.Var(f, "engine", "run models with `ENGINE`: "+strings.Join(titled, ", ")+", or auto: the bundle's own, unless another is clearly faster")
}

// engines returns the engines that the flags leave.
func (f *loadFlags) engines() []predict.Engine { return f.isolate.engines(f.among(allEngines())...) }

// among are the engines of a list that --engine leaves. What prepares pictures stays where it cannot be the
// engine itself.
func (f *loadFlags) among(all []predict.Engine) []predict.Engine {
	if f.engine == "" {
		return all
	}
	i := slices.IndexFunc(all, func(e predict.Engine) bool { return flagOf(e) == string(f.engine) })
	chosen := []predict.Engine{all[i]}
	for _, e := range all {
		if format := e.Info().Format.Name; format == bundle.PreprocessEngine && format != all[i].Info().Format.Name {
			chosen = append(chosen, e)
		}
	}
	return chosen
}

// engineFlags are the values of --engine besides auto.
func engineFlags() (names []string) {
	for _, e := range allEngines() {
		names = append(names, flagOf(e))
	}
	return names
}

// flagOf is how --engine names an engine.
func flagOf(e predict.Engine) string { return cmp.Or(e.Info().Flag, e.Info().Name) }

// engineNames says which engines run a model's graphs, and preprocess is "" where it takes no pictures.
type engineNames struct {
	Model      string   `json:"model"`
	Preprocess string   `json:"preprocess,omitempty"`
	Passed     []string `json:"passed_over,omitempty"`
}

func engineReport(s access.EngineStatus) engineNames {
	e := engineNames{Model: s.Info.Name, Preprocess: s.Preprocess}
	for _, p := range s.Passed {
		e.Passed = append(e.Passed, p.String())
	}
	return e
}

func (e engineNames) String() string {
	if e.Preprocess != "" && e.Preprocess != e.Model {
		return e.Model + ", pictures by " + e.Preprocess
	}
	return e.Model
}

// warnOfEngines says on stderr which engine was expected to run the model and does not, or must not.
func warnOfEngines(cmd *cobra.Command, m *predict.Model) {
	for _, p := range access.Of(m).Engine().Passed {
		if p.Warn() {
			printable.Fprintf(cmd.ErrOrStderr(), "forgo: WARNING: engine %s\n", oneLine(errors.New(p.String())))
		}
	}
}
