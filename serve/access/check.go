package access

// Checking a request's key.

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of Check, apart from [RightError].
var (
	ErrNoKey    = errors.New("this call needs a key: send the header Authorization: Bearer KEY, or X-API-Key: KEY")
	ErrWrongKey = errors.New("unknown key")
)

// RightError means that a valid key lacks the right that a call needs.
type RightError struct {
	Key  string // its name
	Need Right
}

func (e *RightError) Error() string {
	return fmt.Sprintf("the key %q does not have the right %q", e.Key, e.Need)
}

// Check returns the name of the request's key, even if the key lacks the right. authorization and apiKey
// are the headers Authorization, as "Bearer KEY", and X-API-Key. If both are set,
// X-API-Key counts, since a gateway may use the other for itself.
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
