package onnx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// OpenOption chooses parts of an ONNX file.
type OpenOption func(*predict.Opening)

// Input names the graph's inputs. Optional: a run needs all of them anyway.
func Input(names ...string) OpenOption { return func(o *predict.Opening) { o.Inputs = names } }

// Output names the outputs to compute. Optional: all of them.
func Output(names ...string) OpenOption { return func(o *predict.Opening) { o.Outputs = names } }

// Pictures makes the graph take encoded pictures instead of rows.
func Pictures(p predict.Pictures) OpenOption {
	return func(o *predict.Opening) { o.Pictures, o.PreparedBy = &p, Engine() }
}

// Open opens an ONNX file without a bundle.
//
//	m, err := onnx.Open(ctx, "model.onnx", onnx.Output("probabilities"))
func Open(ctx context.Context, path string, options ...OpenOption) (*predict.Bare, error) {
	opening := predict.Opening{Graph: predict.Graph{Path: path}}
	for _, o := range options {
		o(&opening)
	}
	return predict.Open(ctx, Engine(), opening)
}

// choose keeps the chosen outputs.
func (g *Info) choose(want predict.Graph) error {
	if len(want.Tags) > 0 || want.Signature != "" {
		return errors.New("an ONNX graph has no tags or signatures; a SavedModel has")
	}
	find := func(kind string, names []string, have []tensor.Spec) (found []tensor.Spec, err error) {
		for _, name := range names {
			i := slices.IndexFunc(have, func(s tensor.Spec) bool { return s.Name == name })
			if i < 0 {
				return nil, fmt.Errorf("the graph has no %s %q, only %s", kind, name, list(have))
			}
			found = append(found, have[i])
		}
		return found, nil
	}
	if len(want.Inputs) > 0 {
		named, err := find("input", want.Inputs, g.Inputs)
		if err != nil {
			return err
		}
		if len(named) != len(g.Inputs) {
			return fmt.Errorf("the graph needs all its inputs: %s", list(g.Inputs))
		}
	}
	if len(want.Outputs) > 0 {
		named, err := find("output", want.Outputs, g.Outputs)
		if err != nil {
			return err
		}
		g.Outputs = named
	}
	return nil
}

func list(specs []tensor.Spec) string {
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
