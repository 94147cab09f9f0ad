package main

import (
	"bytes"
	"strings"
	"testing"
)

// A flag that older versions needed is accepted, and changes nothing.
func TestApproximateDecodeIsAccepted(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"verify", "../../conformance/bundles/shapes.forgo", "--approximate-decode", "3"}, &stdout, &stderr)
	if code != exitDone || !strings.Contains(stdout.String(), "parity proven") || stderr.Len() > 0 {
		t.Errorf("exit code %d, %s, %s", code, &stdout, &stderr)
	}
}
