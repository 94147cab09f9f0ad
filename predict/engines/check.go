package engines

import (
	"fmt"
	"math"
	"slices"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Check returns an error unless got holds exactly the session's inputs, with the right types and shapes,
// and every wanted output exists.
func Check(s Session, got tensor.Map, wanted []string) error {
	return CheckSpecs(s.Inputs(), s.Outputs(), got, wanted)
}

// CheckSpecs is like Check, for known inputs and outputs.
func CheckSpecs(inputs, outputs []tensor.Spec, got tensor.Map, wanted []string) error {
	for _, spec := range inputs {
		t, ok := got[spec.Name]
		if !ok {
			return fmt.Errorf("input %q is missing", spec.Name)
		}
		if err := spec.Match(t); err != nil {
			return err
		}
	}
	if len(got) > len(inputs) {
		return fmt.Errorf("%d inputs given, the graph has %d", len(got), len(inputs))
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(outputs, func(o tensor.Spec) bool { return o.Name == name }) {
			return fmt.Errorf("the graph has no output %s", tensor.Quote(name))
		}
	}
	return nil
}

// CheckOutputs returns an error that wraps [ErrInput] if a run's outputs would take more than most bytes
// together. It counts the outputs whose shapes the session, as a [Sizer], knows in advance. A most of 0 is
// no limit.
func CheckOutputs(s Session, inputs tensor.Map, outputs []string, most int64) error {
	sizer, ok := s.(Sizer)
	if !ok || most <= 0 {
		return nil
	}
	total := int64(0)
	for _, spec := range s.Outputs() {
		if !slices.Contains(outputs, spec.Name) {
			continue
		}
		bytes := int64(spec.DType.ElementSize())
		for _, d := range sizer.OutputShape(spec.Name, inputs) {
			switch {
			case d < 0: // it may be anything, or nothing
				bytes = 0
			case d > 0 && bytes > math.MaxInt64/2/d:
				bytes = math.MaxInt64 / 2
			default:
				bytes *= d
			}
		}
		if total += bytes; total > most {
			return TooLarge(total, most)
		}
	}
	return nil
}

// TooLarge returns the error, which wraps [ErrInput], for outputs that take more than most bytes.
func TooLarge(bytes, most int64) error {
	return inputError{fmt.Errorf("the answer to these rows takes %d bytes, more than the limit of %d: send fewer rows", bytes, most)}
}

type inputError struct{ error }

func (inputError) Is(target error) bool { return target == ErrInput }
func (e inputError) Unwrap() error      { return e.error }
