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

// Bare is an open graph without a bundle. Its inputs and outputs have the graph's own names, only its user
// knows how its inputs are made, and nothing proves its answers. A Bare is safe for concurrent use. It
// does not batch requests. Close it when done.
type Bare struct {
	// Labels names the elements of a classifier's output, in order. Optional: an element's label is its
	// index. Set it before the first answer.
	Labels []string

	session  engines.Session
	bounds   bounds
	pictures *preparer // nil unless it takes pictures
}

// Opening describes a graph without a bundle.
type Opening struct {
	Graph
	// Session tunes the graph. Its RunTimeout and MaxOutputBytes bound each run, as in [Options].
	// Optional.
	Session SessionOptions
	// Pictures says how the graph takes encoded pictures. Optional: it takes JSON rows.
	Pictures *Pictures
	// PreparedBy is an engine for ONNX graphs, which prepares the pictures. Required with Pictures.
	PreparedBy Engine
	// Where reports whether a graph with these inputs takes Pictures. Optional: every graph does.
	Where func(inputs []tensor.Spec) bool
}

// ErrPictures is wrapped by the error of Open if the graph cannot take pictures as [Opening.Pictures]
// says.
var ErrPictures = errors.New("prepare pictures")

// Open opens a graph without a bundle. The functions Open of the packages onnx and tensorflow call it.
// If ctx ends while the engine opens the graph, Open returns without waiting for it.
func Open(ctx context.Context, engine Engine, o Opening) (_ *Bare, err error) {
	s, err := openSession(ctx, engine, o.Graph, o.Session)
	if err != nil {
		return nil, err
	}
	b := &Bare{session: s, bounds: bounds{time: o.Session.RunTimeout, bytes: o.Session.MaxOutputBytes}}
	if o.Pictures == nil || o.Where != nil && !o.Where(s.Inputs()) {
		return b, nil
	}
	if o.PreparedBy == nil {
		err = errors.New("Opening.PreparedBy is not set: set it to an engine for ONNX graphs, such as onnx.Engine()")
	} else {
		b.pictures, err = preparing(ctx, o.PreparedBy, s.Inputs(), *o.Pictures)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrPictures, err), s.Close())
	}
	return b, nil
}

// Pictures returns how the graph takes encoded pictures, with the defaults filled in. ok is false if it
// takes rows.
func (b *Bare) Pictures() (p Pictures, ok bool) {
	if b.pictures == nil {
		return Pictures{}, false
	}
	return b.pictures.how, true
}

// Inputs describes the graph's inputs by their own names. A size of -1 is a free dimension.
func (b *Bare) Inputs() []tensor.Spec { return b.session.Inputs() }

// Outputs describes the outputs that Run computes.
func (b *Bare) Outputs() []tensor.Spec { return b.session.Outputs() }

// Close waits for the runs under way and frees the graphs.
func (b *Bare) Close() error {
	err := b.session.Close()
	if b.pictures != nil {
		err = errors.Join(err, b.pictures.session.Close())
	}
	return err
}

// Run computes the named outputs, or all if none is named. [engines.Session] says who owns the tensors.
// The error wraps [ErrInput] if the inputs do not fit the graph.
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

// Prepare converts an encoded picture, or a JSON row if the graph takes no pictures, to the graph's
// inputs, with a batch of one.
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

// Classify returns every label with its score, best first, for one encoded picture or JSON row. Scores are
// the graph's own and need not be probabilities.
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

// Answer answers one encoded picture or JSON row. It sets Classes if the graph's only output looks like
// scores and the graph takes pictures or has Labels, and Outputs otherwise.
func (b *Bare) Answer(ctx context.Context, raw []byte) (Answer, error) {
	out, err := b.run(ctx, raw)
	if err != nil {
		return Answer{}, err
	}
	return b.Label(out)
}

// Label returns the answer in the graph's outputs for one picture or row, with the fields that Answer sets.
func (b *Bare) Label(out Tensors) (Answer, error) {
	if _, ok := b.scores(); ok && (b.pictures != nil || len(b.Labels) > 0) {
		classes, err := b.classes(out)
		return Answer{Classes: classes}, err
	}
	a := Answer{Outputs: Tensors{}}
	for name, t := range out {
		if len(t.Shape) > 0 && t.Shape[0] == 1 {
			t.Shape = t.Shape[1:]
		}
		a.Outputs[name] = t
	}
	return a, nil
}

func (b *Bare) run(ctx context.Context, raw []byte) (Tensors, error) {
	in, err := b.Prepare(ctx, raw)
	if err != nil {
		return nil, err
	}
	return b.Run(ctx, in)
}

// scores returns the graph's output if it has only one, which looks like scores.
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
