// Package page holds what the server's pages share: their style, and a Content-Security-Policy that allows
// no more than they need.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
)

// Style is the style sheet, inline in each page.
//
//go:embed page.css
var Style string

// Policy returns the Content-Security-Policy of a page: its own style, the given scripts, requests to the
// server, and icons in data: URLs.
func Policy(scripts ...string) string {
	sources := "'none'"
	if len(scripts) > 0 {
		sources = ""
	}
	for _, s := range scripts {
		sources += " " + hash(s)
	}
	return fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		hash(Style), strings.TrimSpace(sources))
}

func hash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
