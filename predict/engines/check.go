package engines

import (
	"fmt"
	"slices"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Check fails unless a session's inputs are given as they must be, nothing else is, and the wanted outputs exist.
func Check(s Session, given tensor.Map, wanted []string) error {
	inputs := s.Inputs()
	for _, spec := range inputs {
		t, ok := given[spec.Name]
		if !ok {
			return fmt.Errorf("input %q is missing", spec.Name)
		}
		if err := spec.Match(t); err != nil {
			return err
		}
	}
	if len(given) > len(inputs) {
		return fmt.Errorf("%d inputs given, the graph has %d", len(given), len(inputs))
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(s.Outputs(), func(o tensor.Spec) bool { return o.Name == name }) {
			return fmt.Errorf("the graph has no output %s", tensor.Quote(name))
		}
	}
	return nil
}
