package repository

// Settings of a model: how it runs, and which versions.

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/forgo-ml/forgo/internal/bytesize"
)

// Settings are the settings of one model. The repository's defaults replace empty ones.
type Settings struct {
	// Path is the path of the model's bundle, or of its folder of versions. Optional if the model is in a
	// folder of models.
	Path string `yaml:"path,omitempty"`
	// Versions says which versions are loaded. Optional: the highest.
	Versions Policy `yaml:"versions,omitempty"`
	// Labels maps names that clients may use to versions, which are loaded even if Versions excludes them.
	// The label stable answers requests without a version. Optional.
	Labels map[string]string `yaml:"labels,omitempty"`

	// See predict.Options.
	Threads       int           `yaml:"threads,omitempty"`
	Instances     int           `yaml:"instances,omitempty"`
	MaxBatchRows  int           `yaml:"max_batch_rows,omitempty"`
	MaxDelay      time.Duration `yaml:"max_delay,omitempty"`
	MaxQueueRows  int           `yaml:"max_queue_rows,omitempty"`
	MaxQueueBytes bytesize.Size `yaml:"max_queue_bytes,omitempty"`
	MaxWait       time.Duration `yaml:"max_wait,omitempty"`
}

// or returns the settings with empty ones from d.
func (s Settings) or(d Settings) Settings {
	if s.Versions.isZero() {
		s.Versions = d.Versions
	}
	s.Threads = cmp.Or(s.Threads, d.Threads)
	s.Instances = cmp.Or(s.Instances, d.Instances)
	s.MaxBatchRows = cmp.Or(s.MaxBatchRows, d.MaxBatchRows)
	s.MaxDelay = cmp.Or(s.MaxDelay, d.MaxDelay)
	s.MaxQueueRows = cmp.Or(s.MaxQueueRows, d.MaxQueueRows)
	s.MaxQueueBytes = cmp.Or(s.MaxQueueBytes, d.MaxQueueBytes)
	s.MaxWait = cmp.Or(s.MaxWait, d.MaxWait)
	return s
}

// Check returns an error if the settings are invalid.
func (s Settings) Check() error {
	for label, version := range s.Labels {
		if !isVersion(version) {
			return fmt.Errorf("labels: %s names %q: give a version number", label, version)
		}
	}
	if min(s.Threads, s.Instances, s.MaxBatchRows, s.MaxQueueRows) < 0 || min(s.MaxDelay, s.MaxWait) < 0 || s.MaxQueueBytes < 0 {
		return errors.New("threads, instances and the limits max_… must not be negative")
	}
	return nil
}

// Policy says which versions of a model are loaded. The zero value is the highest one.
type Policy struct {
	latest int // this many of the highest; 0 with no others is 1
	all    bool
	named  []string
}

func (p Policy) isZero() bool { return p.latest == 0 && !p.all && p.named == nil }

// IsZero reports whether p is the zero Policy, for encoders that omit it.
func (p Policy) IsZero() bool { return p.isZero() }

// UnmarshalText parses latest, latest:N, all, or comma-separated versions.
func (p *Policy) UnmarshalText(text []byte) error {
	s := string(text)
	switch name, number, found := strings.Cut(s, ":"); {
	case s == "all":
		*p = Policy{all: true}
		return nil
	case name == "latest":
		n := 1
		if found {
			var err error
			if n, err = strconv.Atoi(number); err != nil || n < 1 {
				return fmt.Errorf("%q: latest: needs a number from 1, such as latest:2", s)
			}
		}
		*p = Policy{latest: n}
		return nil
	}
	var named []string
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); !isVersion(one) {
			return fmt.Errorf("%q: give latest, latest:N, all or versions such as 1,3", s)
		}
		named = append(named, one)
	}
	*p = Policy{named: named}
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p Policy) String() string {
	switch {
	case p.all:
		return "all"
	case p.named != nil:
		return strings.Join(p.named, ",")
	case p.latest > 1:
		return fmt.Sprintf("latest:%d", p.latest)
	}
	return "latest"
}

// Set and Type make Policy a command-line flag.
func (p *Policy) Set(s string) error { return p.UnmarshalText([]byte(s)) }

// Type returns the name of the flag's value in its help.
func (p *Policy) Type() string { return "POLICY" }

// isVersion reports whether a folder's name is a version number, by the rules of TensorFlow Serving and
// Triton.
func isVersion(name string) bool {
	n, err := strconv.ParseInt(name, 10, 64)
	return err == nil && n > 0 && strconv.FormatInt(n, 10) == name
}

func byNumber(a, b string) int {
	x, _ := strconv.ParseInt(a, 10, 64)
	y, _ := strconv.ParseInt(b, 10, 64)
	return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
}

func highestFirst(versions []string) []string {
	slices.SortFunc(versions, func(a, b string) int { return byNumber(b, a) })
	return versions
}
