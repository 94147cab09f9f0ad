package main

// The flags of forgo predict and forgo inspect that choose parts of a SavedModel.

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/forgo-ml/forgo/predict"
)

type graphFlags struct {
	graph predict.Graph
	names []string // of these flags
}

func (f *graphFlags) add(flags *pflag.FlagSet) {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.StringSliceVar(&f.graph.Tags, "tag", nil, "`TAGS` of the graph, if a SavedModel has several graphs")
	own.StringVar(&f.graph.Signature, "signature", "", "`NAME` of the signature, for a SavedModel or a bundle with several (default serving_default)")
	own.StringSliceVar(&f.graph.Inputs, "input", nil, "`NAME` of the input: the signature's, or an operation such as input_1")
	own.StringSliceVar(&f.graph.Outputs, "output", nil, "`NAME` of the output, such as inferenceLayer/Softmax")
	f.names = named(own)
	flags.AddFlagSet(own)
}

// named are the names of flags.
func named(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	return names
}

// changedFlags returns the flags that were set.
func changedFlags(flags *pflag.FlagSet, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !flags.Changed(name) })
}

// complete fails where a flag was given nothing, which would mean that it was left out.
func (f *graphFlags) complete(flags *pflag.FlagSet) error {
	for _, name := range changedFlags(flags, f.names) {
		if value := flags.Lookup(name).Value.String(); value == "" || value == "[]" {
			return usageError{fmt.Errorf("--%s is empty: name something, or leave it out", name)}
		}
	}
	return nil
}
