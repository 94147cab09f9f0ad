package pure

import (
	"fmt"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// settings reads a node's attributes. end refuses those that no kernel has read, since an unknown attribute
// may change the answer.
type settings struct {
	n    *node
	read map[string]bool
}

func (n *node) settings() *settings { return &settings{n, map[string]bool{}} }

func (s *settings) has(name string) bool {
	s.read[name] = true
	_, ok := s.n.attributes[name]
	return ok
}

func (s *settings) integer(name string, otherwise int64) int64 {
	if !s.has(name) {
		return otherwise
	}
	return s.n.attributes[name].i
}

func (s *settings) float(name string, otherwise float32) float32 {
	if !s.has(name) {
		return otherwise
	}
	return s.n.attributes[name].f
}

func (s *settings) text(name, otherwise string) string {
	if !s.has(name) {
		return otherwise
	}
	return s.n.attributes[name].s
}

func (s *settings) integers(name string) []int64 { s.has(name); return s.n.attributes[name].ints }
func (s *settings) floats(name string) []float32 { s.has(name); return s.n.attributes[name].floats }

func (s *settings) strings(name string) []string { s.has(name); return s.n.attributes[name].strings }
func (s *settings) value(name string) *value     { s.has(name); return s.n.attributes[name].t }
func (s *settings) ignore(names ...string) {
	for _, name := range names {
		s.has(name)
	}
}

// end returns an error if a setting has not been read.
func (s *settings) end() error {
	for name := range s.n.attributes {
		if !s.read[name] {
			return fmt.Errorf("its attribute %s is not supported", tensor.Quote(name))
		}
	}
	return nil
}
