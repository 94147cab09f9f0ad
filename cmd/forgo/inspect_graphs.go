package main

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// graphInspection is one graph of a SavedModel.
type graphInspection struct {
	Tags       []string              `json:"tags"`
	TensorFlow string                `json:"tensorflow_version,omitempty"`
	Signatures []signatureInspection `json:"signatures"`
	// What the graph itself takes and gives, by operations: what --input and --output may name
	// where there is no signature.
	Placeholders []end          `json:"placeholders"`
	Unconsumed   []end          `json:"unconsumed"`
	Operations   map[string]int `json:"operations"`
}

type signatureInspection struct {
	Name    string `json:"name"`
	Method  string `json:"method,omitempty"`
	Inputs  []end  `json:"inputs"`
	Outputs []end  `json:"outputs"`
}

// inspectSavedModel reads a SavedModel's folder; no TensorFlow is needed for it.
func inspectSavedModel(path string) (inspection, error) {
	graphs, err := tensorflow.Inspect(path)
	if err != nil {
		return inspection{}, fmt.Errorf("%s: %w", path, err)
	}
	i := inspection{Kind: kindSavedModel, Path: path}
	i.savedModel(graphs)
	err = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			i.Size += info.Size()
		}
		return err
	})
	return i, err
}

// savedModel notes the graphs; and the inputs, outputs and operations where there is one graph.
func (i *inspection) savedModel(graphs []tensorflow.MetaGraph) {
	for _, g := range graphs {
		found := graphInspection{
			Tags: g.Tags, TensorFlow: g.Version, Operations: g.Ops, Signatures: []signatureInspection{},
			Placeholders: ends(g.Placeholders), Unconsumed: ends(g.Results),
		}
		in, out := found.Placeholders, found.Unconsumed
		for _, s := range g.Signatures {
			signature := signatureInspection{Name: s.Name, Method: s.Method, Inputs: signedEnds(s.Inputs), Outputs: signedEnds(s.Outputs)}
			found.Signatures = append(found.Signatures, signature)
			if s.Name == tensorflow.DefaultSignature || len(g.Signatures) == 1 {
				in, out = signature.Inputs, signature.Outputs
			}
		}
		i.Graphs = append(i.Graphs, found)
		if len(graphs) == 1 && i.Bundle == nil {
			i.Inputs, i.Outputs = in, out
		}
		if len(graphs) == 1 {
			i.Operations = g.Ops
		}
	}
}

// bundledSavedModel reads the graph of a bundle, whose digest it checks again.
func (i *inspection) bundledSavedModel(b *bundle.Bundle) error {
	name := b.Manifest.Graph.Path + "/" + tensorflow.GraphFile
	data, err := b.ReadFile(name)
	if err != nil {
		return err
	}
	graphs, err := tensorflow.Read(data)
	if err != nil {
		return &bundle.Error{Bundle: b.Path, File: name, Err: err}
	}
	i.savedModel(graphs)
	return nil
}

func ends(specs []tensor.Spec) []end {
	out := []end{}
	for _, s := range specs {
		out = append(out, end{Name: s.Name, DType: s.DType, Shape: s.Shape})
	}
	return out
}

func signedEnds(signed []tensorflow.End) []end {
	out := []end{}
	for _, e := range signed {
		out = append(out, end{Name: e.Name, GraphName: e.Tensor, DType: e.DType, Shape: e.Shape})
	}
	return out
}

// held says of a graph's signature what a bundle makes of it; nothing without a bundle.
func (b *bundleSummary) held(name string) string {
	if b == nil || len(b.Signatures) == 0 {
		return ""
	}
	for i, s := range b.Signatures {
		switch {
		case s.Name == name && i == 0:
			return fmt.Sprintf(" (%s; answers where none is named; %d golden cases)", s.Method, s.Cases)
		case s.Name == name:
			return fmt.Sprintf(" (%s; %d golden cases)", s.Method, s.Cases)
		}
	}
	return " (not in the bundle)"
}

// print shows the graph with its tags, and how to call it.
func (g graphInspection) print(w io.Writer, b *bundleSummary) {
	by := ""
	if g.TensorFlow != "" {
		by = ", by TensorFlow " + g.TensorFlow
	}
	printable.Fprintf(w, "graph\ttags %s%s\n", strings.Join(g.Tags, ","), by)
	for _, s := range g.Signatures {
		printable.Fprintf(w, "signature\t%s%s\n", s.Name, b.held(s.Name))
		printEnds(w, "  input", s.Inputs)
		printEnds(w, "  output", s.Outputs)
	}
	if len(g.Signatures) == 0 {
		printable.Fprintf(w, "signature\tnone: name an input and an output of these\n")
		printEnds(w, "  placeholder", g.Placeholders)
		printEnds(w, "  unconsumed", g.Unconsumed)
	}
	printOperations(w, "operations", g.Operations)
}

func printEnds(w io.Writer, kind string, ends []end) {
	for _, e := range ends {
		dtype, behind := string(e.DType), ""
		if dtype == "" {
			dtype = "?"
		}
		if e.GraphName != "" && e.GraphName != e.Name {
			behind = "  = " + e.GraphName
		}
		if e.Hidden {
			behind += "  (hidden: answered when asked for)"
		}
		printable.Fprintf(w, "%s\t%s  %s %s%s\n", kind, e.Name, dtype, shapeText(e.Shape), behind)
	}
}

func printOperations(w io.Writer, kind string, operations map[string]int) {
	var ops []string
	for _, op := range slices.Sorted(maps.Keys(operations)) {
		ops = append(ops, fmt.Sprintf("%s %d", op, operations[op]))
	}
	printable.Fprintf(w, "%s\t%s\n", kind, strings.Join(ops, ", "))
}
