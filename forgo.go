// Package forgo holds the version that the Go binary and the Python wheel share.
//
// The library is in [github.com/forgo-ml/forgo/predict]; the command in cmd/forgo.
package forgo

import (
	_ "embed"
	"strings"
)

// License is the text of forgo's licence.
//
//go:embed LICENSE
var License []byte

// Notices holds the licences of what forgo's binaries contain. `make notices` writes it.
//
//go:embed NOTICES
var Notices []byte

//go:embed VERSION
var version string

// Version is the release of this module, as in the VERSION file.
func Version() string { return strings.TrimSpace(version) }
