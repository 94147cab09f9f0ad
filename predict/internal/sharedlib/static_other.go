//go:build !linux

package sharedlib

// static is false: macOS links no program statically.
func static() bool { return false }
