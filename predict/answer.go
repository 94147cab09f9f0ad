package predict

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/forgo-ml/forgo/predict/bundle"
)

// Class is one label with its probability.
type Class struct {
	Label string  `json:"label"`
	Score float32 `json:"score"`
}

// Answer is what a model says of one picture or row: classes, best first, from a
// classifier, and the outputs by name, without their batch dimension, from any other.
type Answer struct {
	Classes []Class `json:"classes,omitempty"`
	Outputs Tensors `json:"outputs,omitempty"`
}

// Classify answers one encoded picture or JSON row with every label and its probability,
// best first. It fails for a model that is not a classifier.
func (m *Model) Classify(ctx context.Context, raw []byte) ([]Class, error) {
	if m.manifest.Task != bundle.Classification {
		return nil, errors.New("classify: the model's task is " + m.manifest.Task)
	}
	a, err := m.Answer(ctx, raw)
	return a.Classes, err
}

// Answer answers one encoded picture or JSON row.
func (m *Model) Answer(ctx context.Context, raw []byte) (Answer, error) {
	place := Reservation{b: m.batcher}
	defer place.Release()
	if err := place.begin(1, int64(len(raw))); err != nil {
		return Answer{}, err
	}
	in, err := m.Prepare(ctx, raw)
	if err != nil {
		return Answer{}, err
	}
	out, _, err := place.Run(ctx, m, in)
	if err != nil {
		return Answer{}, err
	}
	return m.Label(out, 0)
}

// Label turns row i of the model's outputs into its labelled answer.
func (m *Model) Label(out Tensors, i int) (Answer, error) { return Label(&m.manifest, out, i) }

// Label turns row i of outputs into a labelled answer, by the manifest of their model.
func Label(manifest *bundle.Manifest, out Tensors, i int) (Answer, error) {
	if manifest.Task != bundle.Classification {
		a := Answer{Outputs: Tensors{}}
		for name, t := range out {
			row := t.Slice(i, i+1)
			row.Shape = row.Shape[1:]
			a.Outputs[name] = row
		}
		return a, nil
	}
	scores, err := out[manifest.Outputs[0].Name].Slice(i, i+1).Floats()
	if err != nil {
		return Answer{}, err
	}
	classes := make([]Class, len(scores))
	for j, s := range scores {
		classes[j] = Class{Label: label(manifest, j), Score: float32(s)}
	}
	slices.SortStableFunc(classes, func(a, b Class) int { return cmp.Compare(b.Score, a.Score) })
	return Answer{Classes: classes}, nil
}

func label(manifest *bundle.Manifest, i int) string {
	if i < len(manifest.Labels) {
		return manifest.Labels[i]
	}
	return strconv.Itoa(i)
}
