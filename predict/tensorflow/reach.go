package tensorflow

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/forgo-ml/forgo/predict/internal/wire"
)

// Every operation of a graph must be on a list, even in functions that nothing seems to call, since
// TensorFlow's optimizer may call them in place of others. The exceptions are the operations with which
// every SavedModel saves and restores itself. For these, it matters from where they run: for the requested
// outputs, or at load.

// loaders are the operations that save and restore variables and fill tables from files. Loading needs
// some of them. Nothing else may run any.
var loaders = set(`
Save SaveSlices SaveV2 MergeV2Checkpoints Restore RestoreSlice RestoreV2
InitializeTableFromTextFile InitializeTableFromTextFileV2`)

// savers are the loaders that save and restore.
var savers = set(`Save SaveSlices SaveV2 MergeV2Checkpoints Restore RestoreSlice RestoreV2`)

// fills are the loaders that Python runs when it creates a model's tables.
var fills = set(`InitializeTableFromTextFile InitializeTableFromTextFileV2`)

// restricted lists attributes that are harmless only with some values. Lines on stderr would look like forgo's
// own.
var restricted = map[string]struct {
	attr     string
	harmless []string
}{
	"PrintV2":                      {"output_stream", []string{"log(info)", "log(warning)", "log(error)"}},
	"DecodeProtoV2":                {"descriptor_source", []string{"", "local://"}},
	"EncodeProto":                  {"descriptor_source", []string{"", "local://"}},
	"FixedUnigramCandidateSampler": {"vocab_file", []string{""}},
}

// refuses returns why a node is refused wherever it is, or "".
func (g *MetaGraph) refuses(n *node) string {
	restriction, ok := restricted[n.op]
	switch {
	case ok && !slices.Contains(restriction.harmless, attrText(n.attrs[restriction.attr])):
		return fmt.Sprintf("writes to or reads from %q: refused", attrText(n.attrs[restriction.attr]))
	case n.op == "Const" && firstNumber(n.attrs["dtype"]) == resourceType:
		return "holds the address of a resource: refused"
	case !ok && !listed[n.op] && !loaders[n.op] && g.functions[n.op] == nil:
		return "is not among those that a model may run, as it may reach files, connections, code or memory of others: refused"
	}
	return ""
}

// resourceType is DT_RESOURCE.
const resourceType = 20

// safe checks every operation against the list, and that functions which load and save are called only
// from the places that may.
func (g *MetaGraph) safe() error {
	if g.constants > maxConstants {
		return fmt.Errorf("its constants take %d bytes once loaded (limit %d): refused", g.constants, int64(maxConstants))
	}
	for _, n := range g.order {
		if why := g.refuses(n); why != "" {
			return fmt.Errorf("operation %q (%s) %s", n.name, n.op, why)
		}
	}
	for _, f := range g.defs {
		for _, n := range f.order {
			if why := g.refuses(n); why != "" {
				return fmt.Errorf("in function %q: operation %q (%s) %s", f.name, n.name, n.op, why)
			}
		}
	}
	// The optimizer exchanges functions that implement the same. A function with another's name could take
	// its place, depending on who reads the graph.
	files, err := g.reaching(loaders)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range g.defs {
		if seen[f.name] {
			return fmt.Errorf("it has two functions %q", f.name)
		}
		seen[f.name] = true
		for _, key := range []string{"api_implements", "api_preferred_device"} {
			if files[f.name] && f.attrs[key] {
				return fmt.Errorf("function %q reads or writes files, and its attribute %s lets it replace others: refused", f.name, key)
			}
		}
		if gradient := g.gradients[f.name]; files[gradient] {
			return fmt.Errorf("the gradient of function %q, %q, reads or writes files: refused", f.name, gradient)
		}
	}
	return nil
}

// reaching returns the functions that contain any of the operations, or call one that does.
func (g *MetaGraph) reaching(operations map[string]bool) (map[string]bool, error) {
	callers := map[string][]string{} // by function
	var found []string
	out := map[string]bool{}
	mark := func(name string) {
		if !out[name] {
			out[name] = true
			found = append(found, name)
		}
	}
	w := walker{g: g}
	for _, f := range g.defs {
		for _, n := range f.order {
			if operations[n.op] {
				mark(f.name)
			}
			called, err := w.called(n)
			if err != nil {
				return nil, err
			}
			for _, name := range called {
				callers[name] = append(callers[name], f.name)
			}
		}
	}
	for len(found) > 0 {
		name := found[len(found)-1]
		found = found[:len(found)-1]
		for _, caller := range callers[name] {
			mark(caller)
		}
	}
	return out, nil
}

// safeToRun returns an error for outputs whose computation reaches outside the process.
func (g *MetaGraph) safeToRun(inputs, outputs []NamedTensor) error {
	w := walker{g: g, fed: map[string]bool{}, clean: map[string]bool{}}
	for _, e := range inputs {
		w.fed[canonical(e.Tensor)] = true
	}
	for _, e := range outputs {
		if err := w.tensor(e.Tensor); err != nil {
			return fmt.Errorf("output %q: %w", e.Name, err)
		}
	}
	return nil
}

// safeToLoad returns an error if loading reaches anything but the variables and assets in the model's
// folder.
func (g *MetaGraph) safeToLoad() error {
	for _, file := range g.assetFiles {
		if !filepath.IsLocal(file) {
			return fmt.Errorf("its asset %q lies outside its folder", file)
		}
	}
	fed := g.fed()
	w := g.initializer(fed)
	for _, op := range g.initOps {
		if err := w.tensor(op); err != nil {
			return fmt.Errorf("at load: %w", err)
		}
	}
	if g.restoreOp != "" {
		w := walker{g: g, fed: map[string]bool{canonical(g.savedPaths): true}, clean: map[string]bool{}, allowed: map[string]int{
			"Restore": 0, "RestoreSlice": 0, "RestoreV2": 0,
		}}
		if err := w.tensor(g.restoreOp); err != nil {
			return fmt.Errorf("at load: %w", err)
		}
	}
	return nil
}

// fed returns the tensors that hold the paths of assets.
func (g *MetaGraph) fed() map[string]bool {
	fed := map[string]bool{}
	for name := range g.assets {
		fed[canonical(name)] = true
	}
	return fed
}

// initializer returns a walker for what fills tables, from files whose names are fed.
func (g *MetaGraph) initializer(fed map[string]bool) *walker {
	return &walker{g: g, fed: fed, clean: map[string]bool{}, allowed: map[string]int{
		// by the index of the input that names the file
		"InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1,
	}}
}

// eachFunction calls visit for each function that an AttrValue names.
func eachFunction(attr []byte, nesting int, visit func(string)) error {
	if nesting == 0 {
		return errors.New("attributes are nested too deeply")
	}
	named := func(b []byte) error { // NameAttrList
		return wire.Fields(b, func(f wire.Field) error {
			switch f.Number {
			case 1:
				visit(string(f.Bytes))
			case 2: // its attributes may name functions in turn
				_, value, err := wire.Entry(f.Bytes)
				if err != nil {
					return err
				}
				return eachFunction(value, nesting-1, visit)
			}
			return nil
		})
	}
	return wire.Fields(attr, func(f wire.Field) error {
		switch f.Number {
		case 1:
			return wire.Fields(f.Bytes, func(f wire.Field) error {
				if f.Number == 9 {
					return named(f.Bytes)
				}
				return nil
			})
		case 10:
			return named(f.Bytes)
		}
		return nil
	})
}

// attrText reads an AttrValue with a string, or the first of a list.
func attrText(attr []byte) (text string) {
	_ = wire.Fields(attr, func(f wire.Field) error {
		switch f.Number {
		case 1:
			return wire.Fields(f.Bytes, func(f wire.Field) error {
				if f.Number == 2 && text == "" {
					text = string(f.Bytes)
				}
				return nil
			})
		case 2:
			text = string(f.Bytes)
		}
		return nil
	})
	return text
}

// firstNumber reads an AttrValue with a type, and returns its number.
func firstNumber(attr []byte) (number uint64) {
	_ = wire.Fields(attr, func(f wire.Field) error {
		if f.Number == 6 {
			number = f.Varint
		}
		return nil
	})
	return number
}
