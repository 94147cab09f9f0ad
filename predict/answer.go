package predict

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Class is one label with its probability.
type Class struct {
	Label string  `json:"label"`
	Score float32 `json:"score"`
}

// Answer is a model's answer to one picture or row. A classifier sets Classes, best first. A multi-label
// model sets Classes to the labels above their thresholds, possibly none. Any other model sets Outputs, by
// name and without the batch dimension.
type Answer struct {
	Classes []Class `json:"classes,omitzero"`
	Outputs Tensors `json:"outputs,omitempty"`
}

// Classify returns every label with its probability, best first, for one encoded picture or JSON row. A
// multi-label model returns only the labels above their thresholds. Classify fails for a model without
// labels.
func (m *Model) Classify(ctx context.Context, raw []byte) ([]Class, error) {
	if !m.manifest.Labelled() {
		return nil, errors.New("classify: the model's task is " + m.manifest.Task)
	}
	a, err := m.Answer(ctx, raw)
	return a.Classes, err
}

// Answer answers one encoded picture or JSON row.
func (m *Model) Answer(ctx context.Context, raw []byte) (Answer, error) {
	reservation := m.batcher.Empty()
	defer reservation.Release()
	if err := reservation.BeginWith(1, int64(len(raw))); err != nil {
		return Answer{}, err
	}
	in, err := m.Prepare(ctx, raw)
	if err != nil {
		return Answer{}, err
	}
	out, _, err := m.run(ctx, &reservation, in)
	if err != nil {
		return Answer{}, err
	}
	return m.Label(out, 0)
}

// AppendJSON appends the answer as the JSON object that the command prints and the native protocol sends:
// {"classes": …} or {"outputs": …}. If file is not nil, a "file" member precedes it. NaN and infinities
// are written as null.
//
//forgo:writer labelled answers
func (a Answer) AppendJSON(dst []byte, file *string) ([]byte, error) {
	dst = append(dst, '{')
	if file != nil {
		dst = append(dst, `"file":`...)
		dst = append(tensor.AppendText(dst, *file), ',')
	}
	if a.Outputs != nil {
		dst = append(dst, `"outputs":{`...)
		for i, name := range slices.Sorted(maps.Keys(a.Outputs)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			t := a.Outputs[name]
			if err := t.Check(); err != nil {
				return nil, fmt.Errorf("write output %q: %w", name, err)
			}
			dst = append(tensor.AppendText(dst, name), ':')
			dst = tensor.AppendNested(dst, t, tensor.Null)
		}
		return append(dst, "}}"...), nil
	}
	dst = append(dst, `"classes":[`...)
	for i, c := range a.Classes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"label":`...)
		dst = tensor.AppendText(dst, c.Label)
		dst = append(dst, `,"score":`...)
		dst = tensor.AppendFloat(dst, float64(c.Score), 32, tensor.Null)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...), nil
}

// ReadAnswer parses what [Answer.AppendJSON] writes. The manifest is that of the model that answered. file
// is "" if the answer names none. Float16 and bfloat16 outputs become float32.
func ReadAnswer(manifest *bundle.Manifest, text []byte) (a Answer, file string, err error) {
	r := payload.New(text)
	err = r.Object(func(name string) error {
		switch name {
		case "file":
			file, err = r.Text()
			return err
		case "classes":
			a.Classes = []Class{}
			return r.Classes(func(label string, score float32) {
				a.Classes = append(a.Classes, Class{label, score})
			})
		case "outputs":
			a.Outputs = Tensors{}
			return r.Object(func(name string) error {
				for _, info := range manifest.Outputs {
					if info.Name == name {
						t, err := r.Tensor(inJSON(info.DType), 0)
						a.Outputs[name] = t
						return err
					}
				}
				_, err := r.Raw()
				return err
			})
		}
		_, err := r.Raw()
		return err
	})
	if err == nil {
		err = r.End()
	}
	if err == nil && a.Classes == nil && a.Outputs == nil {
		err = errors.New("the answer has neither classes nor outputs")
	}
	return a, file, err
}

// inJSON returns the type in which JSON carries the values of d.
func inJSON(d tensor.DType) tensor.DType {
	if d == tensor.Float16 || d == tensor.BFloat16 {
		return tensor.Float32
	}
	return d
}

// Label returns the labelled answer in row i of the model's outputs.
func (m *Model) Label(out Tensors, i int) (Answer, error) { return Label(&m.manifest, out, i) }

// Label returns the labelled answer in row i of the outputs of the manifest's model.
func Label(manifest *bundle.Manifest, out Tensors, i int) (Answer, error) {
	if !manifest.Labelled() {
		a := Answer{Outputs: Tensors{}}
		for name, t := range out {
			if hidden(manifest, name) {
				continue
			}
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
	classes := make([]Class, 0, len(scores))
	for j, s := range scores {
		if manifest.Task == bundle.Classification || s > manifest.Thresholds[j] {
			classes = append(classes, Class{Label: label(manifest, j), Score: float32(s)})
		}
	}
	slices.SortStableFunc(classes, func(a, b Class) int { return cmp.Compare(b.Score, a.Score) })
	return Answer{Classes: classes}, nil
}

// SameLabels checks the classes of an answer, best first, against a golden case. A classifier must give
// the recorded best label; a multi-label model the recorded set of labels, in any order.
func SameLabels(manifest *bundle.Manifest, c bundle.Case, classes []Class) error {
	if manifest.Task == bundle.Classification {
		if best := classes[0].Label; best != c.Label {
			return fmt.Errorf("%q, training answered %q", best, c.Label)
		}
		return nil
	}
	var got []string
	for _, class := range classes {
		got = append(got, class.Label)
	}
	want := slices.Clone(c.Labels)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("the labels %q, training answered %q", got, want)
	}
	return nil
}

func hidden(manifest *bundle.Manifest, name string) bool {
	return slices.ContainsFunc(manifest.Outputs, func(o bundle.TensorInfo) bool { return o.Hidden && o.Name == name })
}

func label(manifest *bundle.Manifest, i int) string {
	if i < len(manifest.Labels) {
		return manifest.Labels[i]
	}
	return strconv.Itoa(i)
}
