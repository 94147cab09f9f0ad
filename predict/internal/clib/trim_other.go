//go:build !linux

package clib

func offerTrim() {}
