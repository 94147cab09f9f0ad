// Package bytesize parses sizes in bytes: 10MB, 64 MiB, 512k, or a plain number.
package bytesize

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes. It is a flag value, and YAML and JSON decode it from text.
type Size int64

// Parse parses a number of bytes, or a number with a unit: kB, MB, GB and TB are powers of 1000, and KiB,
// MiB, GiB and TiB powers of 1024. Case does not matter, and the B is optional.
func Parse(text string) (Size, error) {
	if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
		return Size(n), nil
	}
	n, err := humanize.ParseBytes(strings.TrimSpace(text))
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size, such as 10MB, 64MiB or 1048576", text)
	}
	return Size(n), nil
}

// Set implements a flag's value.
func (s *Size) Set(text string) (err error) {
	n, err := Parse(text)
	if err == nil {
		*s = n
	}
	return err
}

// String returns the number of bytes in decimal.
func (s Size) String() string { return strconv.FormatInt(int64(s), 10) }

// Type returns the name of a number's type, for a flag's help.
func (s *Size) Type() string { return "int64" }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error { return s.Set(string(text)) }
