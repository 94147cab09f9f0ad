package main

// The YAML file of a server's configuration. Every error names the file, line and column.

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/serve/repository"
)

// readConfig reads a file. If set is true it also sets the flags that the file names and that are not set yet.
func readConfig(path string, flags *pflag.FlagSet, set bool) (config, error) {
	data, err := regular.Read(path, 1<<20)
	if err != nil {
		return config{}, fmt.Errorf("--config: %w", err)
	}
	c, err := parseConfig(data, flags, set)
	var at *yaml.LoadError
	switch {
	case errors.As(err, &at) && at.Mark.Line > 0:
		return config{}, fmt.Errorf("%s:%d:%d: %s", path, at.Mark.Line, at.Mark.Column, at.Message)
	case err != nil:
		return config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func parseConfig(data []byte, flags *pflag.FlagSet, set bool) (c config, err error) {
	var document yaml.Node
	if len(strings.TrimSpace(string(data))) == 0 {
		return c, nil
	}
	if err := yaml.Load(data, &document); err != nil {
		return c, err
	}
	if len(document.Content) == 0 || document.Content[0].IsZero() {
		return c, nil // comments alone
	}
	top, err := mapping("", document.Content[0])
	if err != nil {
		return c, err
	}
	if paths, ok := take(top, "paths"); ok {
		if err := decode("paths", paths, setting{&c.Paths, "a list"}); err != nil {
			return c, err
		}
	}
	if models, ok := take(top, "models"); ok {
		if c.Models, err = parseModels(models); err != nil {
			return c, err
		}
	}
	c.flags = map[string]string{}
	for _, name := range inOrder(top) { // the rest are flags
		value := top[name]
		flag := flags.Lookup(strings.ReplaceAll(name, "_", "-"))
		if flag == nil || key(flag.Name) != name || slices.Contains(notConfigured, flag.Name) {
			return c, at(value, "unknown key %s; the keys are paths, models, %s", name, strings.Join(keys(flags), ", "))
		}
		if set && !flag.Changed {
			if err := setFlag(flags, flag, value); err != nil {
				return c, at(value, "%s: %s", name, oneLine(err))
			}
		}
		text, err := yaml.Dump(value)
		if err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
		c.flags[name] = string(text)
	}
	return c, nil
}

// setting is where the value of a key goes, and what a value must be.
type setting struct {
	into  any
	needs string
}

// settings lists the keys of a model's settings.
func settings(s *repository.Settings) map[string]setting {
	const number, duration = "a whole number", "a duration, such as 5ms"
	return map[string]setting{
		"path":            {&s.Path, "a path"},
		"versions":        {&s.Versions, "latest, latest:N with N from 1, all, or versions such as 1,3"},
		"labels":          {&s.Labels, "a mapping of labels to versions, such as {stable: 3}"},
		"threads":         {&s.Threads, number},
		"instances":       {&s.Instances, number},
		"max_batch_rows":  {&s.MaxBatchRows, number},
		"max_delay":       {&s.MaxDelay, duration},
		"max_queue_rows":  {&s.MaxQueueRows, number},
		"max_queue_bytes": {&s.MaxQueueBytes, "a size, such as 10MB, 64MiB or 1048576"},
		"max_wait":        {&s.MaxWait, duration},
	}
}

func parseModels(node *yaml.Node) (map[string]repository.Settings, error) {
	if node.IsZero() || node.Tag == "!!null" {
		return nil, nil
	}
	models, err := mapping("models", node)
	if err != nil {
		return nil, err
	}
	list := map[string]repository.Settings{}
	for _, name := range inOrder(models) {
		var s repository.Settings
		if models[name].Tag == "!!null" {
			list[name] = s
			continue
		}
		values, err := mapping("models."+name, models[name])
		if err != nil {
			return nil, err
		}
		known := settings(&s)
		for _, k := range inOrder(values) {
			to, ok := known[k]
			if !ok {
				return nil, at(values[k], "models.%s: unknown setting %s; the settings are %s", name, k, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			}
			if err := decode("models."+name+"."+k, values[k], to); err != nil {
				return nil, err
			}
		}
		if err := s.Check(); err != nil {
			return nil, at(models[name], "models.%s: %s", name, err)
		}
		list[name] = s
	}
	return list, nil
}

// mapping returns a node's values by their keys. The library refuses a key that is there twice.
func mapping(name string, node *yaml.Node) (map[string]*yaml.Node, error) {
	node = resolved(node)
	if node.Kind != yaml.MappingNode {
		if name != "" {
			name += ": "
		}
		return nil, at(node, "%sexpected keys and values, such as \"http: 0.0.0.0:8080\"", name)
	}
	var values map[string]yaml.Node
	if err := node.Decode(&values); err != nil {
		return nil, err
	}
	list := map[string]*yaml.Node{}
	for k, v := range values {
		list[k] = resolved(&v)
	}
	return list, nil
}

// resolved follows an alias to the node that it stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// decode stores a value, or says what it should be.
func decode(name string, node *yaml.Node, to setting) error {
	if node.Decode(to.into) == nil {
		return nil
	}
	value := map[yaml.Kind]string{yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}[node.Kind]
	return at(node, "%s: %s is not %s", name, cmp.Or(value, fmt.Sprintf("%q", node.Value)), to.needs)
}

// at is an error at a node's position.
func at(node *yaml.Node, format string, values ...any) error {
	return yaml.NewLoadError(yaml.ConstructorStage, fmt.Sprintf(format, values...), yaml.Mark{Line: node.Line, Column: node.Column}, nil)
}

func take(values map[string]*yaml.Node, key string) (*yaml.Node, bool) {
	node, ok := values[key]
	delete(values, key)
	return node, ok
}

// inOrder lists keys by the position of their values in the file.
func inOrder(values map[string]*yaml.Node) []string {
	return slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(values[a].Line, values[b].Line), cmp.Compare(values[a].Column, values[b].Column), cmp.Compare(a, b))
	})
}

func setFlag(flags *pflag.FlagSet, flag *pflag.Flag, value *yaml.Node) error {
	list, isList := flag.Value.(pflag.SliceValue)
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag != "!!null":
		return flags.Set(flag.Name, value.Value)
	case value.Kind == yaml.SequenceNode && isList:
		var values []string
		if err := value.Decode(&values); err != nil {
			return errors.New("expected a value or a list of values")
		}
		return list.Replace(values)
	case isList:
		return errors.New("expected a value or a list of values")
	}
	return errors.New("expected one value")
}
