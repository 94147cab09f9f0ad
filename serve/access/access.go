// Package access decides who may call a server: API keys with rights, and TLS certificates. Both come from
// files, and are reloaded when the files change.
//
// [OpenKeys] and [OpenCertificates] read them; [Watch] keeps them up to date.
package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Right is a permission of a key.
type Right string

// The rights. A call that needs None is open to anyone.
const (
	None    Right = ""
	Predict Right = "predict" // run models, and read what clients need to know of them
	Admin   Right = "admin"   // everything on the admin port, but running models
	Metrics Right = "metrics" // read the metrics, which Admin may too
)

// grants reports whether rights include the one that a call needs.
func grants(rights []Right, need Right) bool {
	return slices.Contains(rights, need) || need == Metrics && slices.Contains(rights, Admin)
}

// ParseRights parses a comma-separated list of rights.
func ParseRights(text string) ([]Right, error) {
	var rights []Right
	for name := range strings.SplitSeq(text, ",") {
		switch r := Right(name); {
		case r != Predict && r != Admin && r != Metrics:
			return nil, errors.New("give rights from predict, admin and metrics, separated by commas")
		case slices.Contains(rights, r):
			return nil, fmt.Errorf("the right %s occurs twice", r)
		default:
			rights = append(rights, r)
		}
	}
	return rights, nil
}
