// Package memorytest measures the memory of a test's process.
package memorytest

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// Resident returns the process's resident memory in bytes. It needs Linux.
func Resident(t testing.TB) int64 {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
