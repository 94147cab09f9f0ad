package predict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"slices"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Stage is a step between a client's request and the answer.
type Stage string

// The stages, in order. Each is replayed from the recorded input of that stage, so that a failure names
// the stage that causes the difference. StageLabel replays all of them in sequence.
const (
	StageDecode     Stage = "decode"     // raw bytes to pixels, or a JSON row to tensors
	StagePreprocess Stage = "preprocess" // pixels to the model's input
	StageModel      Stage = "model"      // inputs to outputs, alone and in batches
	StageLabel      Stage = "label"      // raw bytes to labelled answer
	// StageServe goes through a server: its protocols, and batches from many callers. Load does not replay
	// it; the package client/replay does, against any server.
	StageServe Stage = "serve"
)

// Parity is the result of a replay: how the answers of this process compare with the training framework's.
type Parity struct {
	// Mode is "full", "quick", or "none" for a bundle without golden cases.
	Mode string `json:"mode"`
	// Reason says why the bundle has no cases.
	Reason string `json:"reason,omitempty"`
	// Made says whose answers the cases record, if their pictures were generated.
	Made string `json:"made,omitempty"`
	// ExpectedFrom is bundle.ConvertedGraph if the cases record the graph's own answers rather than the
	// training framework's.
	ExpectedFrom string `json:"expected_from,omitempty"`
	// Cases is the number of replayed cases, Of the number in the bundle.
	Cases int `json:"cases"`
	Of    int `json:"of"`
	// LargestDifference is the largest among the model's outputs, as tensor.Difference measures it.
	LargestDifference float64 `json:"largest_difference"`
	Tolerance         float64 `json:"tolerance"`
	// Differences holds the largest difference of each stage.
	Differences Differences `json:"differences"`
	// Top1Agreement is the share of cases, 0 to 1, whose best label is the recorded one.
	Top1Agreement float64 `json:"top1_agreement"`
	// Decoder is the JPEG decoder, or "" if the model takes no pictures.
	Decoder string `json:"decoder,omitempty"`
	// DecodeDifference is the largest difference between decoded pixels, in steps of 255. It is always 0,
	// since a replay fails at any other.
	DecodeDifference int `json:"decode_difference"`
	// Signatures is the number of further signatures with cases of their own. Cases, Of and the
	// differences include them.
	Signatures int `json:"signatures,omitempty"`
}

// add includes the replay of another signature.
func (p *Parity) add(s Parity) {
	p.Signatures++
	p.Cases += s.Cases
	p.Of += s.Of
	if s.Mode == "quick" {
		p.Mode = s.Mode
	}
	p.Differences.Preprocess = max(p.Differences.Preprocess, s.Differences.Preprocess)
	p.Differences.Model = max(p.Differences.Model, s.Differences.Model)
	p.Differences.Label = max(p.Differences.Label, s.Differences.Label)
	p.LargestDifference = max(p.LargestDifference, s.LargestDifference)
}

// Differences holds one number for each stage, as tensor.Difference measures it. Decode is in steps of
// 255.
type Differences struct {
	Decode     float64 `json:"decode"`
	Preprocess float64 `json:"preprocess"`
	Model      float64 `json:"model"`
	Label      float64 `json:"label"`
}

// String returns the parity line that every report shows.
func (p Parity) String() string {
	if p.Mode == "none" {
		return "parity NOT PROVEN: the bundle has no golden cases (" + printable.Text(p.Reason) + ")"
	}
	of := ""
	if p.Signatures > 0 {
		of = fmt.Sprintf(" of %d signatures", 1+p.Signatures)
	}
	s := fmt.Sprintf("parity proven: %d of %d cases"+of+", largest difference %.1e (tolerance %.0e)", p.Cases, p.Of, p.LargestDifference, p.Tolerance)
	if p.Top1Agreement > 0 {
		s += fmt.Sprintf(", top-1 agreement %.0f%%", 100*p.Top1Agreement)
	}
	if p.Made != "" {
		s += ", on generated pictures (" + printable.Text(p.Made) + ")"
	}
	if p.ExpectedFrom == bundle.ConvertedGraph {
		s += ", against the converted graph's own answers, not the training framework's"
	}
	return s
}

// ParityError reports the stage and the case at which an answer of this process first differs from the training
// framework's by more than the tolerance.
type ParityError struct {
	Stage      Stage
	Case       string  // its id; "" where no case is at fault
	Source     string  // the file it was made from, where known
	Difference float64 // in the stage's unit; +Inf if no number says it
	Tolerance  float64
	Err        error // details
}

func (e *ParityError) Error() string {
	at := string(e.Stage)
	if e.Case != "" {
		at += ", case " + e.Case
	}
	if e.Source != "" {
		at += " (" + e.Source + ")"
	}
	return fmt.Sprintf("parity refused at stage %s: %v", at, e.Err)
}

func (e *ParityError) Unwrap() error { return e.Err }

const (
	quickCases  = 4
	replayBatch = 8
)

type replayer struct {
	m      *Model
	b      *bundle.Bundle
	o      Options
	parity Parity
}

type golden = bundle.Recorded

func (m *Model) replay(ctx context.Context, b *bundle.Bundle, o Options) (Parity, error) {
	all := m.manifest.Golden.Cases
	r := replayer{m: m, b: b, o: o, parity: Parity{Mode: "full", Of: len(all), Tolerance: m.manifest.Tolerance.Model, Made: m.manifest.Golden.Made, ExpectedFrom: m.manifest.Golden.ExpectedFrom}}
	if m.manifest.Picture != nil {
		r.parity.Decoder = pixels.Decoder()
	}
	if len(all) == 0 {
		r.parity.Mode, r.parity.Reason = "none", m.manifest.Golden.None
		return r.parity, nil
	}
	if o.Verify == VerifyQuick && len(all) > quickCases {
		r.parity.Mode = "quick"
		all = all[:quickCases]
	}
	var cases []golden
	for _, c := range all {
		g, err := r.one(ctx, c)
		if err != nil {
			return Parity{}, err
		}
		cases = append(cases, g)
	}
	for chunk := range slices.Chunk(cases, replayBatch) {
		if err := r.forms(chunk); err != nil {
			return Parity{}, err
		}
		if err := r.batch(ctx, chunk); err != nil {
			return Parity{}, err
		}
	}
	for chunk := range slices.Chunk(cases, min(replayBatch, m.batcher.MaxRows)) {
		if err := r.callers(ctx, chunk); err != nil {
			return Parity{}, err
		}
	}
	r.parity.Cases = len(cases)
	m.goldenShapes = map[string][]int64{}
	for name, t := range cases[0].Inputs {
		m.goldenShapes[name] = t.Shape
	}
	if m.manifest.Task == bundle.Classification {
		r.parity.Top1Agreement = 1 // anything less was refused
	}
	return r.parity, nil
}

func (r *replayer) fail(g golden, stage Stage, difference, tolerance float64, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // the caller gave up; that says nothing of parity
	}
	return &ParityError{Stage: stage, Case: g.ID, Source: g.Source, Difference: difference, Tolerance: tolerance, Err: err}
}

// one replays a case stage by stage, then the whole way.
func (r *replayer) one(ctx context.Context, c bundle.Case) (golden, error) {
	g, err := r.b.ReadCase(c)
	if err != nil {
		return g, err
	}
	if err := ctx.Err(); err != nil {
		return g, err
	}
	if r.m.manifest.Picture != nil {
		err = r.picture(ctx, g)
	}
	if err == nil {
		err = r.json(g)
	}
	if err != nil {
		return g, err
	}
	out, err := r.m.Run(ctx, g.Inputs)
	if err != nil {
		return g, r.fail(g, StageModel, math.Inf(1), 0, err)
	}
	if err := r.compare(g, StageModel, out, g.Outputs, "alone"); err != nil {
		return g, err
	}
	return g, r.label(ctx, g)
}

func (r *replayer) picture(ctx context.Context, g golden) error {
	file, err := r.b.ReadFile(g.Pixels)
	if err != nil {
		return err
	}
	got, err := pixels.Decode(ctx, g.Picture, r.m.decode)
	if err != nil {
		return r.fail(g, StageDecode, math.Inf(1), 0, err)
	}
	recorded, err := png.DecodeConfig(bytes.NewReader(file)) // before its pixels take any memory
	if err != nil {
		return &bundle.Error{Bundle: r.b.Path, File: g.Pixels, Err: fmt.Errorf("read recorded pixels: %w", err)}
	}
	if got.Width != recorded.Width || got.Height != recorded.Height {
		return r.fail(g, StageDecode, math.Inf(1), 0, fmt.Errorf("decoded to %d x %d pixels, training saw %d x %d",
			got.Width, got.Height, recorded.Width, recorded.Height))
	}
	want, err := readPixels(file)
	if err != nil {
		return &bundle.Error{Bundle: r.b.Path, File: g.Pixels, Err: err}
	}
	worst := 0
	for i := range got.Pix {
		worst = max(worst, int(got.Pix[i])-int(want.Pix[i]), int(want.Pix[i])-int(got.Pix[i]))
	}
	if worst > 0 {
		return r.fail(g, StageDecode, float64(worst), 0, fmt.Errorf("pixels differ by %d of 255, tolerance 0", worst))
	}

	in, err := r.m.preprocessed(ctx, want)
	if err != nil {
		return r.fail(g, StagePreprocess, math.Inf(1), 0, err)
	}
	name := r.m.manifest.Picture.Input
	return r.compare(g, StagePreprocess, in, Tensors{name: g.Inputs[name]}, "")
}

// compare fails if got differs from want by more than the stage's tolerance.
func (r *replayer) compare(g golden, stage Stage, got, want Tensors, how string) error {
	tolerance := map[Stage]float64{
		StagePreprocess: r.m.manifest.Tolerance.Preprocess,
		StageModel:      r.m.manifest.Tolerance.Model,
		StageLabel:      r.m.manifest.Tolerance.Model,
	}[stage]
	if how != "" {
		how = " (" + how + ")"
	}
	for name, w := range want {
		d, err := tensor.Difference(got[name], w)
		if err != nil {
			return r.fail(g, stage, math.Inf(1), tolerance, fmt.Errorf("tensor %q%s: %w", name, how, err))
		}
		if d > tolerance {
			return r.fail(g, stage, d, tolerance, fmt.Errorf("tensor %q differs by %.3g%s, tolerance %.0e", name, d, how, tolerance))
		}
		r.differs(stage, d)
	}
	return nil
}

// differs records the difference of a case within its tolerance.
func (r *replayer) differs(stage Stage, d float64) {
	p := &r.parity
	switch stage {
	case StageDecode:
		p.Differences.Decode = max(p.Differences.Decode, d)
	case StagePreprocess:
		p.Differences.Preprocess = max(p.Differences.Preprocess, d)
	case StageModel:
		p.Differences.Model = max(p.Differences.Model, d)
	case StageLabel:
		p.Differences.Label = max(p.Differences.Label, d)
	}
	p.LargestDifference = max(p.Differences.Model, p.Differences.Label)
}

// label replays all stages of a case in sequence, as for a caller.
func (r *replayer) label(ctx context.Context, g golden) error {
	in, err := r.m.Prepare(ctx, g.Raw)
	if err != nil {
		return r.fail(g, StageLabel, math.Inf(1), 0, err)
	}
	out, err := r.m.Run(ctx, in)
	if err != nil {
		return r.fail(g, StageLabel, math.Inf(1), 0, err)
	}
	if err := r.compare(g, StageLabel, out, g.Outputs, "from the raw input"); err != nil {
		return err
	}
	answer, err := r.m.Label(out, 0)
	if err != nil {
		return r.fail(g, StageLabel, math.Inf(1), 0, err)
	}
	if err := r.written(g, out, answer); err != nil {
		return err
	}
	if !r.m.manifest.Labelled() {
		return nil
	}
	want, err := r.m.Label(g.Outputs, 0)
	if err != nil {
		return r.fail(g, StageLabel, math.Inf(1), 0, err)
	}
	if err := SameLabels(&r.m.manifest, g.Case, answer.Classes); err != nil {
		return r.fail(g, StageLabel, math.Inf(1), 0, fmt.Errorf("answered %w", err))
	}
	if err := SameLabels(&r.m.manifest, g.Case, want.Classes); err != nil {
		return r.fail(g, StageLabel, math.Inf(1), 0, fmt.Errorf("the recorded scores say %w", err))
	}
	return nil
}

// batch replays cases as the rows of one run.
func (r *replayer) batch(ctx context.Context, cases []golden) error {
	if len(cases) < 2 {
		return nil
	}
	inputs, err := bundle.Stack(cases)
	if err != nil {
		return nil //nolint:nilerr // rows of different shapes are never run together
	}
	out, err := r.m.Run(ctx, inputs)
	if err != nil {
		return r.fail(cases[0], StageModel, math.Inf(1), 0, fmt.Errorf("as a batch of %d: %w", len(cases), err))
	}
	if err := r.rows(cases, out, fmt.Sprintf("in a batch of %d", len(cases))); err != nil || !r.m.batcher.Splits() {
		return err
	}
	defer r.m.batcher.PartsOf(max(1, len(cases)/3))()
	if out, err = r.m.Run(ctx, inputs); err != nil {
		return r.fail(cases[0], StageModel, math.Inf(1), 0, fmt.Errorf("in parts: %w", err))
	}
	return r.rows(cases, out, "in parts")
}

// readPixels reads recorded pixels: an 8-bit colour PNG.
func readPixels(file []byte) (pixels.RGB, error) {
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return pixels.RGB{}, fmt.Errorf("read recorded pixels: %w", err)
	}
	rgba, ok := img.(*image.RGBA)
	if !ok {
		return pixels.RGB{}, fmt.Errorf("read recorded pixels: they must be 8-bit RGB, not %T", img)
	}
	w, h := rgba.Rect.Dx(), rgba.Rect.Dy()
	out := pixels.RGB{Width: w, Height: h, Pix: make([]byte, 0, 3*w*h)}
	for y := range h {
		for x := range w {
			out.Pix = append(out.Pix, rgba.Pix[y*rgba.Stride+4*x:][:3]...)
		}
	}
	return out, nil
}
