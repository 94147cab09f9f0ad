//go:build static

package main

import (
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/pure"
)

// allEngines are what a binary runs models with that loads no library, and so needs nothing of the system.
func allEngines() []predict.Engine { return []predict.Engine{pure.Engine()} }
