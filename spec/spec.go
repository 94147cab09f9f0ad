// Package spec carries the bundle format's JSON Schema, so that the Go reader and the
// Python writer check the same file. The rules in words are in bundle.md.
package spec

import _ "embed"

// ManifestSchema is the JSON Schema (draft 2020-12) of forgo.json, format 1.
//
//go:embed manifest.schema.json
var ManifestSchema []byte

// Format is the bundle format that this release reads and writes. It is raised when a
// reader of the old format would misread a new bundle; see "Raising the format" in bundle.md.
const Format = 1
