//go:build !linux

package scavenge

func unmapUnused() {}
