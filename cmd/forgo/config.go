package main

// The configuration of a server: flags, FORGO_* variables and a YAML file fill one set of flags,
// the command line before the variables, the variables before the file.

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/serve/repository"
)

// config is what the file has beyond the flags, with its paths as they were given.
type config struct {
	Paths  []string                       `yaml:"paths"`  // what is served, where the command line says nothing
	Models map[string]repository.Settings `yaml:"models"` // by model name

	flags map[string]string // the rest, by its keys, as YAML
}

// notConfigured are flags that have no place in the file.
var notConfigured = []string{"config", "print-config", "help"}

// key is a flag's name in the file.
func key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// readConfig reads a file and, where set says so, sets those flags of it that are not set yet.
func readConfig(path string, flags *pflag.FlagSet, set bool) (config, error) {
	var c config
	data, err := regular.Read(path, 1<<20)
	if err != nil {
		return c, fmt.Errorf("--config: %w", err)
	}
	// Whatever is neither paths nor models is a flag's.
	var document struct {
		config `yaml:",inline"`
		Flags  map[string]yaml.Node `yaml:",inline"`
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return c, nil
	}
	if err := yaml.Load(data, &document, yaml.WithKnownFields()); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("%s: %s", path, plain(err))
	}
	byLine := slices.SortedFunc(maps.Keys(document.Flags), func(a, b string) int {
		return cmp.Compare(document.Flags[a].Line, document.Flags[b].Line)
	})
	for _, name := range byLine {
		value := document.Flags[name]
		flag := flags.Lookup(strings.ReplaceAll(name, "_", "-"))
		if flag == nil || key(flag.Name) != name || slices.Contains(notConfigured, flag.Name) {
			return c, fmt.Errorf("%s:%d: there is no key %s; there are paths, models, %s", path, value.Line, name, strings.Join(keys(flags), ", "))
		}
		if set && !flag.Changed {
			if err := setFlag(flags, flag, &value); err != nil {
				return c, fmt.Errorf("%s:%d: %s: %s", path, value.Line, name, oneLine(err))
			}
		}
	}
	document.flags = map[string]string{}
	for name, value := range document.Flags {
		text, err := yaml.Dump(&value)
		if err != nil {
			return c, fmt.Errorf("%s: %s: %w", path, name, err)
		}
		document.flags[name] = string(text)
	}
	if err := checkModels(document.Models); err != nil {
		return c, fmt.Errorf("%s: models: %w", path, err)
	}
	return document.config, nil
}

// otherVariables are those that begin as the flags' do and are none: where the engines' libraries
// are looked for, what Python's side and the build read, and what images call their version.
var otherVariables = []string{
	"FORGO_ONNXRUNTIME", "FORGO_TENSORFLOW", "FORGO_PYTHON", "FORGO_BINARY", "FORGO_TRACEBACK", "FORGO_GO_TAGS", "FORGO_UPDATE", "FORGO_VERSION",
}

// serviceLink are the variables that Kubernetes and Docker set for a service called forgo, or forgo-X,
// in whatever runs beside it.
var serviceLink = regexp.MustCompile(`^FORGO_(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=\w+://|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?=)`)

// checkVariables refuses the FORGO_* variables of an environment that no flag of any verb reads: a
// misspelt limit would be none.
func checkVariables(root *cobra.Command, environment []string) error {
	known := slices.Clone(otherVariables)
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, variable(f.Name)) })
	}
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "FORGO_") && !slices.Contains(known, name) && !serviceLink.MatchString(entry) {
			return fmt.Errorf("%s: there is no such variable; the nearest is %s", name, nearest(name, known))
		}
	}
	return nil
}

// nearest returns the name that is likeliest to be meant, as cobra suggests commands.
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

// plain says what is wrong with a file without the names of Go's types.
func plain(err error) string {
	text := strings.TrimPrefix(oneLine(err), "yaml: construct errors: ")
	text = unknownField.ReplaceAllString(text, "there is no key $1 in a model's settings")
	return wrongType.ReplaceAllStringFunc(text, func(found string) string {
		switch into := wrongType.FindStringSubmatch(found)[1]; {
		case into == "time.Duration":
			return "a duration is needed, such as 5ms"
		case into == "[]string":
			return "a list is needed"
		case strings.HasPrefix(into, "int"):
			return "a whole number is needed"
		}
		return "keys and values are needed, such as \"http: 0.0.0.0:8080\""
	})
}

var (
	unknownField = regexp.MustCompile(`field (\S+) not found in type repository\.Settings`)
	wrongType    = regexp.MustCompile("cannot construct !!\\w+(?: `[^`]*`)? into (.*)")
)

func checkModels(models map[string]repository.Settings) error {
	for name, s := range models {
		if err := s.Check(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func setFlag(flags *pflag.FlagSet, flag *pflag.Flag, value *yaml.Node) error {
	list, isList := flag.Value.(pflag.SliceValue)
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag != "!!null":
		return flags.Set(flag.Name, value.Value)
	case value.Kind == yaml.SequenceNode && isList:
		var values []string
		if err := value.Decode(&values); err != nil {
			return err
		}
		return list.Replace(values)
	case isList:
		return errors.New("it takes a value or a list of them")
	}
	return errors.New("it takes one value")
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

// print writes the whole configuration as a file that says the same.
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
		case f.Value.Type() != "string": // numbers and truth values are plain words
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
