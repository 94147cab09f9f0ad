package predict

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Bare is an opened graph that came without a bundle: its names are the graph's own, nothing
// says how its inputs are made but its user, and nothing proves its answers. It is safe for
// concurrent use; requests are not batched. Close it when done.
type Bare struct {
	// Labels of a classifier's output, in its order. Optional: a label is its index, then. They are set
	// before the first answer.
	Labels []string

	session  engines.Session
	bounds   bounds
	pictures *preparer // nil unless it takes pictures
}

// Opening is a graph without a bundle, and what its user says of it.
type Opening struct {
	Graph
	// Session tunes how it runs. Its RunTimeout and MaxOutputBytes bound each run, as those of [Options] do. Optional.
	Session SessionOptions
	// Pictures say how it takes encoded pictures. Optional: it takes JSON rows.
	Pictures *Pictures
	// PreparedBy prepares the pictures: an engine for ONNX graphs. Required with Pictures.
	PreparedBy Engine
	// Where decides by the graph's inputs whether it takes Pictures. Optional: it does.
	Where func(inputs []tensor.Spec) bool
}

// ErrPictures is wrapped by the error of Open for a graph that does not take pictures as [Opening.Pictures] says.
var ErrPictures = errors.New("prepare pictures")

// Open opens a graph that came without a bundle. The Open of the packages onnx and tensorflow
// is short for it. A graph that is still being opened when ctx ends is left behind.
func Open(ctx context.Context, engine Engine, o Opening) (_ *Bare, err error) {
	s, err := openSession(ctx, engine, o.Graph, o.Session)
	if err != nil {
		return nil, err
	}
	b := &Bare{session: s, bounds: bounds{o.Session.RunTimeout, o.Session.MaxOutputBytes}}
	if o.Pictures == nil || o.Where != nil && !o.Where(s.Inputs()) {
		return b, nil
	}
	if o.PreparedBy == nil {
		err = errors.New("Opening.PreparedBy is not set: set it to an engine for ONNX graphs, as onnx.Engine()")
	} else {
		b.pictures, err = preparing(ctx, o.PreparedBy, s.Inputs(), *o.Pictures)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrPictures, err), s.Close())
	}
	return b, nil
}

// Pictures returns how the graph takes encoded pictures, with what was left out of it; ok is false where it
// takes rows.
func (b *Bare) Pictures() (p Pictures, ok bool) {
	if b.pictures == nil {
		return Pictures{}, false
	}
	return b.pictures.how, true
}

// Inputs describes the graph's inputs by its own names; -1 is a free dimension.
func (b *Bare) Inputs() []tensor.Spec { return b.session.Inputs() }

// Outputs describes the graph's outputs, which Run computes.
func (b *Bare) Outputs() []tensor.Spec { return b.session.Outputs() }

// Close frees the graphs, after the runs under way.
func (b *Bare) Close() error {
	err := b.session.Close()
	if b.pictures != nil {
		err = errors.Join(err, b.pictures.session.Close())
	}
	return err
}

// Run computes the named outputs, or all of them where none is named. Tensors are owned as
// [engines.Session] says. An error that wraps [ErrInput] means that the inputs do not fit the graph.
func (b *Bare) Run(ctx context.Context, inputs Tensors, outputs ...string) (Tensors, error) {
	for _, spec := range b.Inputs() {
		t, ok := inputs[spec.Name]
		if !ok {
			return nil, inputError{fmt.Errorf("input %q is missing", spec.Name)}
		}
		if err := spec.Match(t); err != nil {
			return nil, inputError{err}
		}
	}
	if len(outputs) == 0 {
		for _, spec := range b.Outputs() {
			outputs = append(outputs, spec.Name)
		}
	}
	return b.bounds.run(ctx, b.session, inputs, outputs)
}

// Prepare turns an encoded picture or, where the graph takes none, a JSON row, into the graph's inputs
// with a batch of one.
func (b *Bare) Prepare(ctx context.Context, raw []byte) (Tensors, error) {
	if b.pictures != nil {
		return b.pictures.prepare(ctx, raw)
	}
	row, _, err := payload.ParseRow(raw, payload.Inputs{Specs: b.Inputs()})
	if err != nil {
		return nil, inputError{err}
	}
	return row, nil
}

// Classify answers one encoded picture or JSON row with every label and its score, best first.
// Scores are what the graph gives: whether they are probabilities is for its user to know.
func (b *Bare) Classify(ctx context.Context, raw []byte) ([]Class, error) {
	if _, ok := b.scores(); !ok {
		var have []string
		for _, s := range b.Outputs() {
			have = append(have, fmt.Sprintf("%s %s%v", s.Name, s.DType, s.Shape))
		}
		return nil, fmt.Errorf("classify: a graph needs one output, with a score for each class in each row; open this one with one of %s", strings.Join(have, ", "))
	}
	out, err := b.run(ctx, raw)
	if err != nil {
		return nil, err
	}
	return b.classes(out)
}

// Answer answers one encoded picture or JSON row: with classes where the graph has one output
// of scores and takes pictures or has labels, and with its outputs by name otherwise.
func (b *Bare) Answer(ctx context.Context, raw []byte) (Answer, error) {
	out, err := b.run(ctx, raw)
	if err != nil {
		return Answer{}, err
	}
	if _, ok := b.scores(); ok && (b.pictures != nil || len(b.Labels) > 0) {
		classes, err := b.classes(out)
		return Answer{Classes: classes}, err
	}
	for name, t := range out {
		if len(t.Shape) > 0 && t.Shape[0] == 1 {
			t.Shape = t.Shape[1:]
			out[name] = t
		}
	}
	return Answer{Outputs: out}, nil
}

func (b *Bare) run(ctx context.Context, raw []byte) (Tensors, error) {
	in, err := b.Prepare(ctx, raw)
	if err != nil {
		return nil, err
	}
	return b.Run(ctx, in)
}

// scores returns the graph's output if it has one, of scores as far as can be seen.
func (b *Bare) scores() (tensor.Spec, bool) {
	out := b.Outputs()
	kinds := []tensor.DType{tensor.Float16, tensor.BFloat16, tensor.Float32, tensor.Float64}
	return out[0], len(out) == 1 && slices.Contains(kinds, out[0].DType) && (out[0].Shape == nil || len(out[0].Shape) == 2)
}

func (b *Bare) classes(out Tensors) ([]Class, error) {
	spec, _ := b.scores()
	t := out[spec.Name]
	if len(t.Shape) != 2 || t.Shape[0] != 1 {
		return nil, fmt.Errorf("classify: output %q has shape %v, not one row of scores", spec.Name, t.Shape)
	}
	if n := len(b.Labels); n > 0 && int64(n) != t.Shape[1] {
		return nil, fmt.Errorf("classify: %d labels for the %d scores of output %q", n, t.Shape[1], spec.Name)
	}
	a, err := Label(&bundle.Manifest{
		Task: bundle.Classification, Outputs: []bundle.TensorInfo{{Name: spec.Name}}, Labels: b.Labels,
	}, out, 0)
	return a.Classes, err
}
