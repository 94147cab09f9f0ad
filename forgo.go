// Package forgo holds the version that the Go binary and the Python wheel share.
//
// The library is in [github.com/forgo-ml/forgo/predict]; the command in cmd/forgo.
package forgo

import (
	_ "embed"
	"strings"
)

//go:embed VERSION
var version string

// Version is the release of this module, as in the VERSION file.
func Version() string { return strings.TrimSpace(version) }
