package main

import (
	"os"
	"regexp"
)

var turboBanner = regexp.MustCompile(`libjpeg-turbo version ([0-9]+[0-9.]*)`)

// linkedTurbo is the version of the libjpeg-turbo that is part of this binary, "" where none is. The
// library has no call for it, but keeps its banner.
func linkedTurbo() string {
	binary, err := os.Executable()
	if err != nil {
		return ""
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return ""
	}
	if found := turboBanner.FindSubmatch(data); found != nil {
		return string(found[1])
	}
	return ""
}
