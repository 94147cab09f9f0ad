//go:build !linux

package sharedlib

// static returns false: macOS links no program statically.
func static() bool { return false }
