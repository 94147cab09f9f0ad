//go:build !static

package main

import (
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/pure"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// allEngines are what this binary runs models with. A library that a model does not need is not looked for.
func allEngines() []predict.Engine {
	return []predict.Engine{onnx.Engine(), pure.Engine(), tensorflow.Engine()}
}
