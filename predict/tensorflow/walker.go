package tensorflow

// What the computation of some tensors runs, as TensorFlow would run it.

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

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
