package tensorflow

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/predict/internal/wire"
)

// The field numbers here are those of TensorFlow's saved_object_graph.proto and
// trackable_object_graph.proto.

// object is an object of a TensorFlow 2 SavedModel, which Python creates when it loads the model. The C
// library, and so [Engine], runs the graph's own initializer instead.
type object struct {
	kind      protowire.Number // which of the kinds below
	functions []string         // their names, of a function
	creates   bool             // whether Python runs it as it loads
}

const (
	kindUser     protowire.Number = 4
	kindAsset    protowire.Number = 5
	kindFunction protowire.Number = 6
	kindBare     protowire.Number = 8
	kindResource protowire.Number = 10
)

// atCreation lists the functions of a resource that Python runs when it loads a SavedModel.
var atCreation = []string{"_create_resource", "_initialize", "_destroy_resource"}

// objects reads the objects of a TensorFlow 2 SavedModel, and what their functions are bound to.
func (g *MetaGraph) objects(b []byte) error {
	var creating []uint64
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			made, creates, err := readObject(f.Bytes)
			g.made = append(g.made, made)
			creating = append(creating, creates...)
			return err
		case 2:
			return g.bind(f.Bytes)
		}
		return nil
	})
	for _, id := range creating {
		if id < uint64(len(g.made)) {
			g.made[id].creates = true
		}
	}
	return err
}

// readObject reads a SavedObject, and which of its children run at its creation.
func readObject(b []byte) (made object, creates []uint64, err error) {
	err = wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1: // a child, by its name in the object
			var child uint64
			var name string
			err := wire.Fields(f.Bytes, func(f wire.Field) error {
				switch f.Number {
				case 1:
					child = f.Varint
				case 2:
					name = string(f.Bytes)
				}
				return nil
			})
			if slices.Contains(atCreation, name) {
				creates = append(creates, child)
			}
			return err
		case kindFunction, kindBare: // SavedFunction, SavedBareConcreteFunction: its functions' names come first
			made.kind = f.Number
			return wire.Fields(f.Bytes, func(f wire.Field) error {
				if f.Number == 1 {
					made.functions = append(made.functions, string(f.Bytes))
				}
				return nil
			})
		case kindUser, kindAsset, 7, 9, kindResource, 12:
			made.kind = f.Number
		}
		return nil
	})
	return made, creates, err
}

// bind reads an entry of concrete_functions: a function's name, and the objects that it captures.
func (g *MetaGraph) bind(b []byte) error {
	name, value, err := wire.Entry(b)
	if err != nil {
		return err
	}
	if g.bound == nil {
		g.bound = map[string][]uint64{}
	}
	return wire.Fields(value, func(f wire.Field) error {
		if f.Number != 2 {
			return nil
		}
		if f.Bytes == nil {
			g.bound[name] = append(g.bound[name], f.Varint)
			return nil
		}
		for packed := f.Bytes; len(packed) > 0; {
			id, n := protowire.ConsumeVarint(packed)
			if n < 0 {
				return protowire.ParseError(n)
			}
			g.bound[name] = append(g.bound[name], id)
			packed = packed[n:]
		}
		return nil
	})
}

// safeToCreate returns an error if what Python may run when it loads the model can reach anything but the
// variables and assets in the model's folder. It checks the initializers of tables, variables and
// collections of TensorFlow 1, and the functions of objects of TensorFlow 2.
func (g *MetaGraph) safeToCreate() error {
	w := g.initializer(g.fed())
	w.open = true
	for _, name := range g.collected {
		if err := w.tensor(name); err != nil {
			return fmt.Errorf("at load: %w", err)
		}
	}
	files, err := g.reaching(loaders)
	if err != nil {
		return err
	}
	saving, err := g.reaching(savers)
	if err != nil {
		return err
	}
	creators := map[string]bool{} // functions that an object is created with
	for _, o := range g.made {
		for _, name := range o.functions {
			creators[name] = creators[name] || o.creates
		}
	}
	checked := map[string]bool{}
	for _, o := range g.made {
		for _, name := range o.functions {
			if checked[name] {
				continue
			}
			checked[name] = true
			switch {
			case !files[name]:
			case saving[name] || !creators[name]:
				return fmt.Errorf("at load: function %q reads or writes files, and one of its objects can call it: refused", name)
			case !g.boundToAssets(name):
				return fmt.Errorf("at load: function %q fills a table from a file that is not an asset of the model: refused", name)
			}
		}
	}
	return nil
}

// boundToAssets reports whether a function that fills a table takes its file's name from an asset. Such a
// function contains no text, and captures only tables and assets.
func (g *MetaGraph) boundToAssets(name string) bool {
	f := g.functions[name]
	if f == nil {
		return false
	}
	for _, n := range f.order {
		if len(n.inputs) > 1 && fills[n.op] && !f.isArgument(n.inputs[1]) {
			return false
		}
		if called, err := (&walker{g: g}).called(n); err != nil || len(called) > 0 {
			return false
		}
	}
	for _, id := range g.bound[name] {
		if id >= uint64(len(g.made)) {
			return false
		}
		if k := g.made[id].kind; k != kindAsset && k != kindResource && k != kindUser {
			return false
		}
	}
	return true
}

// isArgument reports whether a tensor of a body is an argument, passed on unchanged.
func (f *function) isArgument(input string) bool {
	for range 1000 { // no honest chain is longer
		name, _, _ := strings.Cut(input, ":") // ARGUMENT, or NODE:OUTPUT:INDEX
		n := f.nodes[name]
		if n == nil {
			return slices.Contains(f.args, name)
		}
		if n.op != "Identity" || len(n.inputs) == 0 {
			return false
		}
		input = n.inputs[0]
	}
	return false
}
