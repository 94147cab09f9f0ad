package main

import (
	"slices"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// allEngines are what this binary runs models with, those of one format in the order in which they are
// tried. A library that a model does not need is not looked for.
func allEngines() []predict.Engine { return []predict.Engine{onnx.Engine(), tensorflow.Engine()} }

// engineOf is the first of a format among engines, which has one.
func engineOf(all []predict.Engine, format string) predict.Engine {
	return all[slices.IndexFunc(all, func(e predict.Engine) bool { return e.Info().Format.Name == format })]
}

// reader is the first engine of a format that reads graphs outside of bundles; nil where there is none.
func reader(format string) engines.Inspector {
	for _, e := range allEngines() {
		if i, ok := e.(engines.Inspector); ok && e.Info().Format.Name == format {
			return i
		}
	}
	return nil
}
