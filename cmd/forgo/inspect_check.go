package main

// forgo inspect --check: whether a SavedModel or an ONNX file may be loaded, before anything loads it.

import (
	"fmt"

	"github.com/spf13/pflag"
)

// elsewhere is what checks the other kinds.
var elsewhere = map[string]string{
	kindBundle.name: ", which forgo verify proves", kindKeras.name: ", which forgo export reads",
}

type checkFlags struct {
	graphFlags
	check bool
}

func (f *checkFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.check, "check", false, "refuse a SavedModel or an ONNX file that forgo predict would not load")
	f.graphFlags.add(flags)
	// What is asked of one model must not come unseen from what another verb was told.
	for _, name := range append(f.names, "check") {
		commandLineOnly(flags, name)
	}
}

// run checks the model at a path, where --check asks for it.
func (f *checkFlags) run(flags *pflag.FlagSet, path string) error {
	if set := changedFlags(flags, f.names); len(set) > 0 && !f.check {
		return usageError{fmt.Errorf("--%s needs --check; without it, inspect shows everything", set[0])}
	}
	if !f.check {
		return nil
	}
	if err := f.complete(flags); err != nil {
		return err
	}
	kind, err := kindOf(path)
	if err != nil {
		return err
	}
	f.graph.Path = path
	if read := reader(kind.format); read != nil {
		return read.Check(f.graph)
	}
	return usageError{fmt.Errorf("--check is for SavedModels and ONNX files, and %s is %s%s", path, kind.noun, elsewhere[kind.name])}
}
