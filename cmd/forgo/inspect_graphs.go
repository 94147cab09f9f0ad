package main

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/engines"
)

// inspectGraph reads a graph outside of a bundle; no library is needed for it.
func inspectGraph(path string, kind kind) (inspection, error) {
	i := inspection{Kind: kind.name, Path: path}
	read := reader(kind.format)
	if read == nil {
		return i, fmt.Errorf("%s: no engine in this build inspects %s", path, kind.noun)
	}
	var err error
	if i.Inspection, err = read.Inspect(predict.Graph{Path: path}); err != nil {
		return inspection{}, fmt.Errorf("%s: %w", path, err)
	}
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

// bundledGraph reads the graph of a bundle, whose digest it checks again.
func (i *inspection) bundledGraph(b *bundle.Bundle) error {
	read := reader(b.Manifest.Engine)
	if read == nil {
		return nil // a binary with the engine may say more
	}
	name := b.Manifest.Graph.Path
	if f := read.Info().Format; f.Folder {
		name += "/" + f.Files[0]
	}
	data, err := b.ReadFile(name)
	if err != nil {
		return err
	}
	if i.Inspection, err = read.Inspect(predict.Graph{Data: data, Path: name}); err != nil {
		return &bundle.Error{Bundle: b.Path, File: name, Err: err}
	}
	return nil
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

// printGraph shows a graph with its tags, and how to call it.
func printGraph(w io.Writer, g engines.InspectedGraph, b *bundleSummary) {
	by := ""
	if g.TensorFlow != "" {
		by = ", by TensorFlow " + g.TensorFlow
	}
	printable.Fprintf(w, "graph\ttags %s%s\n", strings.Join(g.Tags, ","), by)
	for _, s := range g.Signatures {
		printable.Fprintf(w, "signature\t%s%s\n", s.Name, b.held(s.Name))
		printTensors(w, "  input", s.Inputs)
		printTensors(w, "  output", s.Outputs)
	}
	if len(g.Signatures) == 0 {
		printable.Fprintf(w, "signature\tnone: name an input and an output of these\n")
		printTensors(w, "  placeholder", g.Placeholders)
		printTensors(w, "  unconsumed", g.Unconsumed)
	}
	printOperations(w, "operations", g.Operations)
}

func printTensors(w io.Writer, kind string, tensors []engines.TensorInfo) {
	for _, e := range tensors {
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
		printable.Fprintf(w, "%s\t%s  %s %s%s\n", kind, nameText(e.Name), dtype, shapeText(e.Shape), behind)
	}
}

// nameText quotes a name in which spaces would not show where it ends.
func nameText(name string) string {
	if strings.ContainsAny(name, " \"\t\r\n") {
		return strconv.Quote(name)
	}
	return name
}

func printOperations(w io.Writer, kind string, operations map[string]int) {
	var ops []string
	for _, op := range slices.Sorted(maps.Keys(operations)) {
		ops = append(ops, fmt.Sprintf("%s %d", op, operations[op]))
	}
	printable.Fprintf(w, "%s\t%s\n", kind, strings.Join(ops, ", "))
}
