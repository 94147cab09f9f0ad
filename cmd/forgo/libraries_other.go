//go:build !linux

package main

import "github.com/forgo-ml/forgo/predict/engines"

// loadedLibraries lists what is known: only Linux tells a process what it has loaded.
func loadedLibraries(known ...engines.Library) []engines.Library { return known }
