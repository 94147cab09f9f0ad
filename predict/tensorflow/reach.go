package tensorflow

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

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

// places lists attributes that are harmless only with some values. Lines on stderr would look like forgo's
// own.
var places = map[string]struct {
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
	place, ok := places[n.op]
	switch {
	case ok && !slices.Contains(place.harmless, attrText(n.attrs[place.attr])):
		return fmt.Sprintf("writes to or reads from %q: refused", attrText(n.attrs[place.attr]))
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

// walker visits every operation that the computation of some tensors runs.
type walker struct {
	g       *MetaGraph
	fed     map[string]bool // tensors whose values are given
	allowed map[string]int  // operations that may take their file's name from a fed tensor, by that input
	clean   map[string]bool // operations and functions that reach nothing outside
	open    bool            // whether inputs may be missing
	steps   int
}

// Limits that no honest graph reaches. Functions can call each other in exponentially many ways, and
// messages can nest as deep as a file is long.
const (
	maxSteps   = 1_000_000
	maxNesting = 100
)

// call is the place that calls a function, or nil for the graph itself.
type call struct {
	in   *function // where the calling node is
	from *call
	node *node
	name string
}

func canonical(name string) string {
	operation, index := split(name)
	return fmt.Sprintf("%s:%d", operation, index)
}

// tensor visits what a tensor of the graph needs.
func (w *walker) tensor(name string) error {
	// An explicit stack: graphs are deeper than calls should be.
	pending := []string{name}
	for len(pending) > 0 {
		name := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if w.fed[canonical(name)] {
			continue
		}
		operation, _ := split(strings.TrimPrefix(name, "^"))
		n := w.g.nodes[operation]
		if n == nil || w.clean[operation] {
			continue
		}
		// If it is not, the walk below fails.
		w.clean[operation] = true
		if err := w.node(n, nil, nil); err != nil {
			return err
		}
		pending = append(pending, n.inputs...)
	}
	return nil
}

// node checks one operation and the functions that it runs.
func (w *walker) node(n *node, in *function, from *call) error {
	if w.steps++; w.steps > maxSteps {
		return errors.New("its functions call each other in too many ways")
	}
	input, mayRead := w.allowed[n.op]
	if why := w.g.refuses(n); why != "" {
		return fmt.Errorf("operation %q (%s) %s", n.name, n.op, why)
	}
	switch {
	case n.op == "Placeholder" && in == nil && !w.open:
		return fmt.Errorf("it depends on the input %q too", n.name)
	case mayRead && input < len(n.inputs) && w.given(n.inputs[input], in, from):
	case loaders[n.op]:
		return fmt.Errorf("operation %q (%s) reads or writes files that are not the model's: refused", n.name, n.op)
	}
	functions, err := w.called(n)
	if err != nil {
		return err
	}
	for _, f := range functions {
		if err := w.function(f, &call{in: in, from: from, node: n, name: f}); err != nil {
			return err
		}
	}
	return nil
}

// function visits a whole body, since TensorFlow may run all of it.
func (w *walker) function(name string, at *call) error {
	f := w.g.functions[name]
	key := "function " + name // no operation's name has a space
	for c := at.from; c != nil; c = c.from {
		if c.name == name {
			return nil // it calls itself
		}
	}
	if f == nil || w.clean[key] {
		return nil
	}
	asked := false
	for _, n := range f.order {
		if err := w.node(n, f, at); err != nil {
			return err
		}
		asked = asked || w.asks(n)
	}
	w.clean[key] = !asked
	return nil
}

// asks reports whether a node's safety depends on the caller of its function.
func (w *walker) asks(n *node) bool {
	if _, mayRead := w.allowed[n.op]; mayRead {
		return true
	}
	functions, err := w.called(n)
	return err != nil || slices.ContainsFunc(functions, func(f string) bool { return !w.clean["function "+f] })
}

// called returns the functions that a node names, in any attribute.
func (w *walker) called(n *node) (out []string, err error) {
	add := func(name string) {
		out = append(out, name)
		if gradient := w.g.gradients[name]; gradient != "" {
			out = append(out, gradient)
		}
	}
	if w.g.functions[n.op] != nil {
		add(n.op)
	}
	for _, attr := range n.attrs {
		err = errors.Join(err, eachFunction(attr, maxNesting, add))
	}
	return out, err
}

// given reports whether a string comes unchanged from a fed tensor.
func (w *walker) given(input string, in *function, from *call) bool {
	for range 1000 { // no honest chain is longer
		if in == nil {
			if w.fed[canonical(input)] {
				return true
			}
			operation, index := split(input)
			n := w.g.nodes[operation]
			switch {
			case n == nil || index != 0 || len(n.inputs) == 0:
				return false
			case n.op == "ReadVariableOp":
				return w.kept(n.inputs[0])
			case n.op != "Identity":
				return false
			}
			input = n.inputs[0]
			continue
		}
		operation, _, _ := strings.Cut(input, ":") // in a body: ARGUMENT, or NODE:OUTPUT:INDEX
		if n := in.nodes[operation]; n != nil {
			if n.op != "Identity" || len(n.inputs) == 0 {
				return false
			}
			input = n.inputs[0]
			continue
		}
		i := slices.Index(in.args, operation)
		calls := from.node.op == "PartitionedCall" || from.node.op == "StatefulPartitionedCall" || from.node.op == from.name
		if i < 0 || !calls || i >= len(from.node.inputs) {
			return false
		}
		input, in, from = from.node.inputs[i], from.in, from.from
	}
	return false
}

// kept reports whether a variable only ever holds a fed tensor: TensorFlow 2 keeps the paths of assets in
// variables.
func (w *walker) kept(handle string) bool {
	w.steps += len(w.g.order) / 16 // it looks at all of them
	variable := w.g.nodes[handle]
	if variable == nil || variable.op != "VarHandleOp" {
		return false
	}
	assigned := false
	for _, n := range w.g.order {
		if !slices.ContainsFunc(n.inputs, func(in string) bool { o, _ := split(in); return o == handle }) {
			continue
		}
		switch {
		case n.op == "ReadVariableOp" || n.op == "VarIsInitializedOp":
		case n.op == "AssignVariableOp" && len(n.inputs) > 1 && n.inputs[0] == handle && w.fed[canonical(n.inputs[1])]:
			assigned = true
		default:
			return false
		}
	}
	// Another handle of the same name would be the same variable.
	handles := 0
	count := func(nodes []*node) {
		for _, n := range nodes {
			if n.op == "VarHandleOp" && attrText(n.attrs["shared_name"]) == attrText(variable.attrs["shared_name"]) {
				handles++
			}
		}
	}
	count(w.g.order)
	for _, f := range w.g.defs {
		count(f.order)
	}
	return assigned && handles == 1
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
