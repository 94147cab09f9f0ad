package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/pure"
)

func inspectCommand() *cobra.Command {
	var check checkFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Show what is in a bundle, an ONNX file, a SavedModel or a .keras file",
		Long: "Inspect lists the inputs, outputs, shapes, types and operations of a model, and the tags and\n" +
			"signatures of a SavedModel. It neither runs the model nor needs a framework. For a graph without a\n" +
			"signature it lists the placeholders, and the operations whose results nothing consumes.\n\n" +
			"With --check it first refuses a SavedModel or an ONNX file that forgo predict would not load: one with\n" +
			"wrong tags, signature or names, missing files, or operations or data that reach outside the model.",
		Example: "  forgo inspect digits.forgo\n" +
			"  forgo inspect saved_model\n" +
			"  forgo inspect --check forGo --tag tags --input input_1 --output inferenceLayer/Softmax\n" +
			"  forgo inspect --json model.onnx",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := check.run(cmd.Flags(), args[0]); err != nil {
				return err
			}
			i, err := inspect(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(i)
			}
			return i.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	check.add(cmd.Flags())
	return cmd
}

type inspection struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
	Size int64  `json:"size"` // bytes, of all files
	engines.Inspection
	Keras    *kerasSummary    `json:"keras,omitempty"`
	Bundle   *bundleSummary   `json:"bundle,omitempty"`
	Pure     *pureSummary     `json:"pure,omitempty"` // of ONNX graphs
	manifest *bundle.Manifest `json:"-"`
}

type bundleSummary struct {
	Name   string   `json:"name"`
	Digest string   `json:"digest"`
	Task   string   `json:"task"`
	Engine string   `json:"engine"`
	Labels []string `json:"labels,omitempty"`
	Cases  int      `json:"golden_cases"`
	// ExpectedFrom is bundle.ConvertedGraph where the cases hold the answers of the graph itself.
	ExpectedFrom string `json:"expected_from,omitempty"`

	Picture *bundle.Picture    `json:"picture,omitempty"`
	Formats []string           `json:"formats,omitempty"` // media types of the pictures that training saw
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Created string             `json:"created,omitempty"`

	Normalization *bundle.Normalization `json:"normalization,omitempty"`
	Accuracy      *bundle.Accuracy      `json:"accuracy,omitempty"`
	// Signatures are those of a SavedModel that clients can ask for, the bundle's own first.
	Signatures []bundledSignature `json:"signatures,omitempty"`
}

// bundledSignature is a signature that a bundle holds.
type bundledSignature struct {
	Name   string `json:"name"`
	Method string `json:"method"`
	Cases  int    `json:"golden_cases"`
}

// pureSummary says whether the engine in pure Go runs a graph, and why not.
type pureSummary struct {
	Runs bool   `json:"runs"`
	Why  string `json:"why,omitempty"`
}

// pureRuns tries to open graphs of a path in pure Go.
func pureRuns(graphs ...predict.Graph) *pureSummary {
	for _, g := range graphs {
		s, err := pure.Engine().Open(context.Background(), g, predict.SessionOptions{})
		if err != nil {
			return &pureSummary{Why: oneLine(err)}
		}
		_ = s.Close()
	}
	return &pureSummary{Runs: true}
}

// bundleInPure is pureRuns for the graphs of a bundle.
func bundleInPure(b *bundle.Bundle) (*pureSummary, error) {
	files := []string{b.Manifest.Graph.Path}
	if p := b.Manifest.Picture; p != nil {
		files = append(files, p.Preprocess)
	}
	var graphs []predict.Graph
	for _, file := range files {
		data, err := b.ReadFile(file)
		if err != nil {
			return nil, err
		}
		graphs = append(graphs, predict.Graph{Data: data, Path: file})
	}
	return pureRuns(graphs...), nil
}

// signaturesOf lists the signatures that a bundle holds, its own first.
func signaturesOf(m *bundle.Manifest) (list []bundledSignature) {
	if m.Graph.Signature != "" {
		list = append(list, bundledSignature{m.Graph.Signature, cmp.Or(m.Graph.Method, bundle.Predict), len(m.Golden.Cases)})
	}
	for _, s := range m.Signatures {
		list = append(list, bundledSignature{s.Name, s.Method, len(s.Golden.Cases)})
	}
	return list
}

func inspect(path string) (inspection, error) {
	kind, err := kindOf(path)
	switch {
	case err != nil:
		return inspection{}, err
	case kind.isGraph():
		return inspectGraph(path, kind)
	case kind == kindKeras:
		return inspectKeras(path)
	}
	return inspectBundle(path)
}

func inspectBundle(path string) (inspection, error) {
	b, err := openBundle(context.Background(), path)
	if err != nil {
		return inspection{}, err
	}
	defer b.Close()
	m := &b.Manifest
	i := inspection{Kind: kindBundle.name, Path: path, manifest: m, Bundle: &bundleSummary{
		Name: m.Name, Digest: b.Digest, Task: m.Task, Engine: m.Engine, Labels: m.Labels,
		Cases: len(m.Golden.Cases), ExpectedFrom: m.Golden.ExpectedFrom, Picture: m.Picture, Formats: m.Provenance.Formats, Metrics: m.Provenance.Metrics,
		Normalization: m.Provenance.Normalization, Accuracy: m.Provenance.Accuracy, Signatures: signaturesOf(m),
	}}
	if !m.Provenance.Created.IsZero() {
		i.Bundle.Created = m.Provenance.Created.Format("2006-01-02 15:04:05 MST")
	}
	for _, f := range m.Files {
		i.Size += f.Size
	}
	if err := i.bundledGraph(b); err != nil {
		return inspection{}, err
	}
	if m.Engine == pure.Engine().Info().Format.Name {
		if i.Pure, err = bundleInPure(b); err != nil {
			return inspection{}, err
		}
	}
	i.Inputs, i.Outputs = nil, nil // the manifest's are what clients see
	for _, t := range m.Inputs {
		i.Inputs = append(i.Inputs, engines.TensorInfo{Name: t.Name, GraphName: t.GraphName, DType: t.DType, Shape: t.Spec().Shape, Hidden: t.Hidden})
	}
	for _, t := range m.Outputs {
		i.Outputs = append(i.Outputs, engines.TensorInfo{Name: t.Name, GraphName: t.GraphName, DType: t.DType, Shape: t.Spec().Shape, Hidden: t.Hidden})
	}
	return i, nil
}

func (i inspection) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printable.Fprintf(w, "%s\t%s, %s\n", i.Path, i.Kind, size(i.Size))
	if b := i.Bundle; b != nil {
		printable.Fprintf(w, "name\t%s\ndigest\tsha256:%.12s\ntask\t%s\nengine\t%s\n", b.Name, b.Digest, b.Task, b.Engine)
		if len(b.Labels) > 0 {
			printable.Fprintf(w, "labels\t%d: %s\n", len(b.Labels), shorten(strings.Join(b.Labels, ", "), 90))
		}
		if b.Picture != nil {
			printable.Fprintf(w, "pictures\t%s; EXIF orientation %s\n", strings.Join(b.Picture.Accept, ", "), b.Picture.Orientation)
			if only := i.manifest.OnlyFormat(); only != "" {
				printable.Fprintf(w, "\ttraining saw only %s\n", only)
			}
			if rules := b.Picture.Rules; rules != nil {
				printable.Fprintf(w, "\tresized by %s\n", rules)
			}
		}
		if n := b.Normalization; n != nil {
			printable.Fprintf(w, "normalization\t%s, (pixel * %.6g - %s) / %s, in the graph\n", n.Channels, n.Scale, perChannel(n.Mean), perChannel(n.Std))
		}
		if b.Cases > 0 {
			printable.Fprintf(w, "golden cases\t%d (forgo verify replays them)\n", b.Cases)
			if n := i.manifest.Golden.Synthesized(); n > 0 {
				printable.Fprintf(w, "\t%d of them synthesized beside the examples\n", n)
			}
			if made := i.manifest.Golden.Made; made != "" {
				printable.Fprintf(w, "\tof generated pictures: %s\n", made)
			}
			if b.ExpectedFrom == bundle.ConvertedGraph {
				printable.Fprintf(w, "\texpected answers are the converted graph's own, not the training framework's\n")
			}
		} else {
			printable.Fprintf(w, "golden cases\tNONE: parity cannot be proven (%s)\n", i.manifest.Golden.None)
		}
		for _, name := range slices.Sorted(maps.Keys(b.Metrics)) {
			printable.Fprintf(w, "%s\t%.4g\n", name, b.Metrics[name])
		}
		if a := b.Accuracy; a != nil {
			printable.Fprintf(w, "measured\ton %d labelled examples, raw, by Go: %d right; by chance %.1f%%\n", a.Examples, a.Right, 100*a.Chance)
			if a.Balanced != nil {
				printable.Fprintf(w, "balanced\taccuracy, the labels' mean: %.1f%%; by chance 50.0%%\n", 100**a.Balanced)
			}
			if a.Accepted != "" {
				printable.Fprintf(w, "ACCEPTED\tby --accept-accuracy: %s\n", a.Accepted)
			}
		}
		if b.Created != "" {
			printable.Fprintf(w, "created\t%s\n", b.Created)
		}
	}
	if p := i.Pure; p != nil && p.Runs {
		printable.Fprintf(w, "pure Go\truns it, without a library\n")
	} else if p != nil {
		printable.Fprintf(w, "pure Go\tdoes not run it: %s\n", p.Why)
	}
	if k := i.Keras; k != nil {
		printable.Fprintf(w, "model\t%s, %s, by Keras %s\n", k.Name, k.Class, k.Version)
	}
	if len(i.Graphs) == 0 || i.Bundle != nil {
		printTensors(w, "input", i.Inputs)
		printTensors(w, "output", i.Outputs)
	}
	for _, g := range i.Graphs {
		printGraph(w, g, i.Bundle)
	}
	switch {
	case i.Keras != nil:
		printOperations(w, "layers", i.Operations)
	case len(i.Graphs) == 0:
		printOperations(w, "operations", i.Operations)
	}
	return w.Flush()
}

// perChannel is one number where all channels have the same.
func perChannel(values []float64) string {
	if len(values) > 0 && slices.Equal(values, slices.Repeat(values[:1], len(values))) {
		values = values[:1]
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = fmt.Sprintf("%.6g", v)
	}
	return strings.Join(parts, ",")
}

func shapeText(shape []int64) string {
	if shape == nil {
		return "[?]"
	}
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = "*"
		if d >= 0 {
			parts[i] = fmt.Sprint(d)
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
