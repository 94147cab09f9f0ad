// Package bytesize reads sizes as people write them: 10MB, 64 MiB, 512k, or a number of bytes.
package bytesize

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes. It is a flag's value, and YAML and JSON read it from text.
type Size int64

// Parse reads a size: a number of bytes, or a number with a unit, kB, MB, GB and TB of 1000 or KiB, MiB,
// GiB and TiB of 1024, whatever the case, with or without the B.
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

// Set is what flags call.
func (s *Size) Set(text string) (err error) {
	n, err := Parse(text)
	if err == nil {
		*s = n
	}
	return err
}

// String is the number of bytes.
func (s Size) String() string { return strconv.FormatInt(int64(s), 10) }

// Type is a number's, as flags tell it.
func (s *Size) Type() string { return "int64" }

// UnmarshalText is what decoders call.
func (s *Size) UnmarshalText(text []byte) error { return s.Set(string(text)) }
