package pure

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// kernel computes a node's outputs from its inputs. An omitted input is nil, and so is an output that
// nobody asked for. A kernel only reads its inputs. If an operator is inPlace, an output may share the
// first input's memory, so a kernel takes its inputs' elements before it places its outputs.
type kernel func(in, out []*value) error

// operator is a type of node as a range of opset versions defines it.
type operator struct {
	since, until int    // the first and the last version, 0 for the newest
	inputs       [2]int // at least and at most, -1 for any number
	outputs      int    // at most, -1 for any number
	scratch      int    // values that a kernel uses beside its outputs, behind them
	// prepare reads a node's attributes and constant inputs, once.
	prepare func(n *node) (kernel, error)
	// inPlace says that each element of the output depends on no other element of the first input than the
	// one at its own place.
	inPlace bool
	// view replaces prepare if the output is the first input with another shape.
	view func(n *node) (shaper, error)
	// keeps returns a type for prepare: the output is the input itself if that has this type.
	keeps func(n *node) tensor.DType
	// alias says that the output is always the input.
	alias bool
	// bodies names the attributes that are graphs.
	bodies []string
	// optional says that any of a free number of inputs may be omitted.
	optional bool
}

// shaper computes the shape of a view.
type shaper func(in []*value, shape []int64) ([]int64, error)

// newestOpset is the newest version of ONNX's own domain that the kernels support.
const newestOpset = 28

// newestML is the same for the domain ai.onnx.ml.
const newestML = 5

// ref is the place of a value: an index into a run's values, the complement of an index into the plan's
// constants, or none.
type ref int

const none ref = 1 << 30

// step is a node, ready to run.
type step struct {
	kernel  kernel
	view    shaper
	in, out []ref
	keeps   tensor.DType
	// share says that the output takes over the first input's memory, of a step that keeps a type if it has that type.
	share bool
	what  string
	idle  bool // whether a step behind it does its work
}

// plan is a graph, ready to run.
type plan struct {
	steps     []step
	constants []*value
	values    int   // that a run has
	inputs    []ref // those that a body captures at the end
	outputs   []ref // in the graph's order
}

// scope maps the names of a graph, and of the graphs around it, to the places of their values.
type scope struct {
	plan     *plan
	refs     map[string]ref
	outer    *scope // nil of the graph that is opened
	captured []string
	fold     *memory        // for what is computed once
	uses     map[string]int // how often a name is read
	layers   map[ref]*layer // the steps that may do the work of the node behind them
	shapes   map[string][]int64
	scalings map[ref]scaling // the steps whose work the step behind them may do
}

// name gives a place a name.
func (s *scope) name(name string, r ref) error {
	if _, twice := s.refs[name]; twice {
		return fmt.Errorf("it has two values called %s", tensor.Quote(name))
	}
	s.refs[name] = r
	return nil
}

// find returns the place of a value. A value that a body takes from a graph around it becomes an input of
// the body.
func (s *scope) find(name string) (ref, bool) {
	if r, ok := s.refs[name]; ok || s.outer == nil {
		return r, ok
	}
	r, ok := s.outer.find(name)
	if !ok {
		return r, false
	}
	if r < 0 {
		r = s.plan.addConstant(s.outer.plan.constants[^r])
	} else {
		r = s.plan.addValue()
		s.plan.inputs = append(s.plan.inputs, r)
		s.captured = append(s.captured, name)
	}
	s.refs[name] = r
	return r, true
}

// planGraph finds the nodes' operators, runs nodes with constant inputs, and decides which outputs take
// over their inputs' memory.
func planGraph(ctx context.Context, g *graph, outer *scope) (*plan, error) {
	p, _, err := planScope(ctx, g, outer)
	return p, err
}

func planScope(ctx context.Context, g *graph, outer *scope) (*plan, *scope, error) {
	if err := g.known(); err != nil {
		return nil, nil, err
	}
	p := &plan{}
	p.fill(g)
	at := &scope{
		plan: p, refs: map[string]ref{"": none}, outer: outer, fold: &memory{left: maxMemory, ctx: ctx},
		uses: g.uses(map[string]int{}), layers: map[ref]*layer{}, scalings: map[ref]scaling{}, shapes: map[string][]int64{},
	}
	if outer != nil {
		at.fold = outer.fold
	}
	for name, c := range g.constants {
		if err := at.name(name, p.addConstant(c)); err != nil {
			return nil, nil, err
		}
	}
	for _, in := range g.inputs {
		if _, isConstant := g.constants[in.Name]; isConstant {
			continue
		}
		r := p.addValue()
		if err := at.name(in.Name, r); err != nil {
			return nil, nil, err
		}
		p.inputs = append(p.inputs, r)
		if outer == nil { // these are checked before a run
			at.shapes[in.Name] = in.Shape
		}
	}
	for _, n := range g.nodes {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := p.add(ctx, n, at); err != nil {
			return nil, nil, fmt.Errorf("node %s: %w", n.what(), err)
		}
	}
	for _, out := range g.outputs {
		r, ok := at.find(out.Name)
		if !ok || r == none {
			return nil, nil, fmt.Errorf("nothing computes its output %s", tensor.Quote(out.Name))
		}
		p.outputs = append(p.outputs, r)
	}
	p.steps = slices.DeleteFunc(p.steps, func(s step) bool { return s.idle })
	p.shareMemory()
	return p, at, nil
}

// known returns an error for a graph with operators that have no kernel.
func (g *graph) known() error {
	for _, n := range g.nodes {
		version, ok := g.opsets[n.domain]
		if !ok {
			return fmt.Errorf("it does not import a version of the domain %s", tensor.Quote(n.domain))
		}
		n.version = version
		o := n.operator()
		if o == nil {
			return fmt.Errorf("operator %s, version %d, is not supported", n.what(), version)
		}
		for _, name := range o.bodies {
			inner := n.attributes[name].g
			if inner == nil {
				return fmt.Errorf("node %s has no %s", n.what(), name)
			}
			if inner.depth = g.depth + 1; inner.depth > maxDepth {
				return fmt.Errorf("its graphs are nested more than %d deep", maxDepth)
			}
			inner.opsets = g.opsets
			if err := inner.known(); err != nil {
				return err
			}
		}
	}
	return nil
}

// what names the operator.
func (n *node) what() string {
	if n.domain != "" {
		return tensor.Cut(n.domain + "." + n.op)
	}
	return tensor.Cut(n.op)
}

func (n *node) operator() *operator {
	newest := newestOpset
	name := n.op
	if n.domain != "" {
		newest, name = newestML, n.domain+"."+n.op
	}
	for i, o := range operators[name] {
		if n.version >= o.since && (o.until == 0 && n.version <= newest || n.version <= o.until) {
			return &operators[name][i]
		}
	}
	return nil
}

func (p *plan) fill(g *graph) {
	p.steps = make([]step, 0, len(g.nodes))
	p.constants = make([]*value, 0, len(g.constants))
}

func (p *plan) addConstant(v *value) ref {
	p.constants = append(p.constants, v)
	return ^ref(len(p.constants) - 1)
}

func (p *plan) addValue() ref {
	p.values++
	return ref(p.values - 1)
}

// add plans one node.
func (p *plan) add(ctx context.Context, n *node, at *scope) error {
	o := n.operator()
	if err := o.arity(n); err != nil {
		return err
	}
	s := step{what: n.what()}
	isConstant := true
	n.constant, n.memory = make([]*value, len(n.in)), at.fold
	for i, name := range n.in {
		r, ok := at.find(name)
		if !ok {
			return fmt.Errorf("no node before it computes its input %s", tensor.Quote(name))
		}
		s.in = append(s.in, r)
		if r < 0 {
			n.constant[i] = p.constants[^r]
		} else if r != none {
			isConstant = false
		}
	}
	for _, name := range o.bodies {
		isConstant = false
		inner, of, err := planScope(ctx, n.attributes[name].g, at)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		n.bodies = append(n.bodies, &body{inner, of.captured})
		for _, outside := range of.captured {
			r, _ := at.find(outside)
			s.in = append(s.in, r)
		}
	}
	var err error
	if o.view != nil {
		s.view, err = o.view(n)
	} else {
		s.kernel, err = o.prepare(n)
	}
	if err != nil {
		return err
	}
	s.share = o.inPlace // narrowed by shareMemory
	if isConstant {
		return p.fold(s, n, at)
	}
	if fused, err := p.fuse(n, &s, at); fused || err != nil {
		return err
	}
	if o.keeps != nil {
		s.keeps = o.keeps(n)
	}
	alias := o.alias && at.outer == nil // a body's outputs are its own
	for _, name := range n.out {
		r := none
		if alias {
			r = s.in[0]
		} else if name != "" {
			r = p.addValue()
		}
		if name != "" {
			if err := at.name(name, r); err != nil {
				return err
			}
		}
		s.out = append(s.out, r)
	}
	if alias {
		if at.uses[n.in[0]] != 1 { // others read the same value
			delete(at.layers, s.in[0])
			delete(at.scalings, s.in[0])
		}
		return nil
	}
	if n.layer != nil {
		at.layers[s.out[0]] = n.layer
		at.scaleBefore(n, &s)
	}
	at.noteScaling(n, &s, len(p.steps))
	for len(s.out) < o.outputs {
		s.out = append(s.out, none)
	}
	for range o.scratch {
		s.out = append(s.out, p.addValue())
	}
	p.steps = append(p.steps, s)
	return nil
}

// arity checks the number of a node's inputs and outputs against its operator. It adds inputs that are
// omitted at the end.
func (o *operator) arity(n *node) error {
	least, most := o.inputs[0], o.inputs[1]
	if len(n.in) < least || most >= 0 && len(n.in) > most {
		return fmt.Errorf("it has %d inputs, the operator takes %d to %d", len(n.in), least, most)
	}
	for i, name := range n.in[:least] {
		if name == "" && !o.optional {
			return fmt.Errorf("its input %d is missing", i)
		}
	}
	for len(n.in) < most {
		n.in = append(n.in, "")
	}
	if most < 0 && !o.optional && slices.Contains(n.in, "") {
		return errors.New("an input is missing")
	}
	if len(n.out) == 0 || n.out[0] == "" || o.outputs >= 0 && len(n.out) > o.outputs {
		return fmt.Errorf("it has %d outputs; the operator has up to %d and needs the first", len(n.out), o.outputs)
	}
	return nil
}

// fold runs a node with constant inputs, once.
func (p *plan) fold(s step, n *node, at *scope) error {
	o, fold := n.operator(), at.fold
	out := make([]*value, max(o.outputs, len(n.out))+o.scratch)
	for i := range out[len(out)-o.scratch:] {
		out[len(out)-o.scratch+i] = &value{memory: fold}
	}
	for i, name := range n.out {
		if name != "" {
			out[i] = &value{memory: fold}
		}
	}
	s.share = false
	if err := fold.ended(); err != nil {
		return err
	}
	if err := s.run(n.constant, out); err != nil {
		return err
	}
	for i, name := range n.out {
		if name != "" {
			if err := at.name(name, p.addConstant(out[i])); err != nil {
				return err
			}
		}
	}
	return nil
}

// views reports whether the output may be the first input.
func (s *step) views() bool { return s.view != nil || s.keeps != "" }

// run computes a step's outputs.
func (s *step) run(in, out []*value) error {
	switch {
	case s.keeps != "" && s.share:
		if in[0].dtype() == s.keeps {
			out[0].data, out[0].shape = in[0].data, append(out[0].shape[:0], in[0].shape...)
			return nil
		}
		out[0].data = out[0].own
		err := s.kernel(in, out)
		out[0].own = out[0].data
		return err
	case s.view == nil:
		if s.share {
			out[0].data = in[0].data
		}
		return s.kernel(in, out)
	}
	if len(out) == 0 || out[0] == nil {
		return nil
	}
	if in[0] == nil {
		return errors.New("its first input is missing")
	}
	shape, err := s.view(in, out[0].shape[:0])
	if err != nil {
		return err
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return err
	}
	if n != int64(in[0].count()) {
		return fmt.Errorf("%v has %d elements, %v has %d", in[0].shape, in[0].count(), shape, n)
	}
	if s.share {
		out[0].data, out[0].shape = in[0].data, shape
		return nil
	}
	return out[0].copy(in[0], shape)
}
