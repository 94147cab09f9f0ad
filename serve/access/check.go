package access

// The check of a request's key.

import (
	"errors"
	"fmt"
	"strings"
)

// What Check refuses with, beside a [RightError].
var (
	ErrNoKey    = errors.New("this call needs a key: send the header Authorization: Bearer KEY, or X-API-Key: KEY")
	ErrWrongKey = errors.New("unknown key")
)

// RightError is about a key that is known and does not have the right that a call needs.
type RightError struct {
	Key  string // its name
	Need Right
}

func (e *RightError) Error() string {
	return fmt.Sprintf("the key %q does not have the right %q", e.Key, e.Need)
}

// Check returns the name of the key that a request came with, also where it refuses it for want
// of the right. It is given the headers Authorization, of which it reads Bearer KEY, and
// X-API-Key, which counts where there are both: a gateway may want the first for itself.
func (k *Keys) Check(authorization, apiKey string, need Right) (name string, err error) {
	presented := apiKey
	if scheme, token, ok := strings.Cut(authorization, " "); ok && presented == "" && strings.EqualFold(scheme, "Bearer") {
		presented = strings.TrimSpace(token)
	}
	if presented == "" {
		return "", ErrNoKey
	}
	found, ok := k.find(presented)
	if !ok {
		return "", ErrWrongKey
	}
	if !grants(found.rights, need) {
		return found.name, &RightError{found.name, need}
	}
	return found.name, nil
}
