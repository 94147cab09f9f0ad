package main

// The configuration of a server. Flags, FORGO_* variables and a YAML file (config_file.go) fill one set of
// flags: the command line overrides the variables, and these override the file.

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/forgo-ml/forgo/serve/repository"
)

// config is what the file has beyond the flags, with its paths as they were given.
type config struct {
	Paths  []string                       // what to serve, unless the command line says
	Models map[string]repository.Settings // by model name

	flags map[string]string // the other keys, each with its value as YAML
}

// notConfigured lists the flags that the file cannot set.
var notConfigured = []string{"config", "print-config", noVariables, "help"}

// key is a flag's name in the file.
func key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// otherVariables lists the FORGO_* variables that set no flag: those that Python and the build read, and the
// version of an image. Engines name theirs.
var otherVariables = []string{
	"FORGO_PYTHON", "FORGO_PARQUET", "FORGO_BINARY", "FORGO_TRACEBACK", "FORGO_GO_TAGS", "FORGO_UPDATE", "FORGO_VERSION",
}

// serviceLink matches the variables that Kubernetes and Docker set in every container beside a service that is
// called forgo or forgo-X.
var serviceLink = regexp.MustCompile(`^FORGO_(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=\w+://|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?=)`)

// checkVariables refuses FORGO_* variables that no flag of any verb reads: a misspelt limit would limit nothing.
func checkVariables(root *cobra.Command, environment []string) error {
	known := slices.Clone(otherVariables)
	for _, e := range allEngines() {
		known = append(known, e.Info().Environment...)
	}
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, variable(f.Name)) })
	}
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "FORGO_") && !slices.Contains(known, name) && !serviceLink.MatchString(entry) {
			return fmt.Errorf("%s: unknown variable; did you mean %s?", name, nearest(name, known))
		}
	}
	return nil
}

// nearest returns the likeliest name, by cobra's own suggestions.
func nearest(name string, known []string) string {
	names := &cobra.Command{}
	for _, k := range known {
		names.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	for {
		names.SuggestionsMinimumDistance++
		if found := names.SuggestionsFor(name); len(found) > 0 {
			return found[0]
		}
	}
}

func keys(flags *pflag.FlagSet) []string {
	var list []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(notConfigured, f.Name) {
			list = append(list, key(f.Name))
		}
	})
	return list
}

// print writes the whole configuration as a file that sets the same values.
func (c config) print(w io.Writer, flags *pflag.FlagSet) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	add := func(name string, value any) error {
		node := &yaml.Node{}
		if err := node.Encode(value); err != nil {
			return err
		}
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, node)
		return nil
	}
	errs := []error{add("paths", c.Paths)}
	flags.VisitAll(func(f *pflag.Flag) {
		if slices.Contains(notConfigured, f.Name) {
			return
		}
		var value any = f.Value.String()
		switch list, isList := f.Value.(pflag.SliceValue); {
		case isList:
			value = list.GetSlice()
		case f.Value.Type() != "string": // numbers and booleans are plain scalars
			value = &yaml.Node{Kind: yaml.ScalarNode, Value: f.Value.String()}
		}
		errs = append(errs, add(key(f.Name), value))
	})
	if len(c.Models) > 0 {
		errs = append(errs, add("models", c.Models))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	text, err := yaml.Dump(root, yaml.WithIndent(2))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, strings.TrimSpace(string(text)))
	return err
}

func (c config) hasPath() bool {
	for _, s := range c.Models {
		if s.Path != "" {
			return true
		}
	}
	return false
}
