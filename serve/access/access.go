// Package access decides who may talk to a server: API keys with their rights, and TLS
// certificates. Both come from files, and are read again when the files change.
//
// [OpenKeys] and [OpenCertificates] read them; [Watch] keeps them up to date.
package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Right is something that a key allows.
type Right string

// The rights. None is what a call needs that anyone may make.
const (
	None    Right = ""
	Predict Right = "predict" // run models, and read what clients need to know of them
	Admin   Right = "admin"   // everything on the admin port, but running models
	Metrics Right = "metrics" // read the metrics, which Admin may too
)

// grants reports whether rights are enough for a call that needs one of them.
func grants(rights []Right, need Right) bool {
	return slices.Contains(rights, need) || need == Metrics && slices.Contains(rights, Admin)
}

// ParseRights reads rights with commas between them.
func ParseRights(text string) ([]Right, error) {
	var rights []Right
	for name := range strings.SplitSeq(text, ",") {
		switch r := Right(name); {
		case r != Predict && r != Admin && r != Metrics:
			return nil, errors.New("give rights among predict, admin and metrics, with commas between them")
		case slices.Contains(rights, r):
			return nil, fmt.Errorf("the right %s occurs twice", r)
		default:
			rights = append(rights, r)
		}
	}
	return rights, nil
}
