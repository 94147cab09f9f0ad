package tensorflow

import (
	"fmt"
	"slices"

	"github.com/forgo-ml/forgo/predict/internal/wire"
)

// The field numbers here are those of TensorFlow's saved_object_graph.proto and
// trackable_object_graph.proto.

// atCreation are the functions of a resource that Python runs as it loads a SavedModel. The C
// library, and with it [Engine], runs the graph's own initializer instead.
var atCreation = []string{"_create_resource", "_initialize", "_destroy_resource"}

// objects reads the objects of a SavedModel of TensorFlow 2 for the functions that are run at
// their creation.
func (g *MetaGraph) objects(b []byte) error {
	functions := map[uint64][]string{} // by object
	var creating []uint64
	id := uint64(0)
	err := wire.Fields(b, func(f wire.Field) error {
		if f.Number != 1 {
			return nil
		}
		defer func() { id++ }()
		return wire.Fields(f.Bytes, func(f wire.Field) error { // SavedObject
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
					creating = append(creating, child)
				}
				return err
			case 6, 8: // SavedFunction, SavedBareConcreteFunction: its functions' names come first
				return wire.Fields(f.Bytes, func(f wire.Field) error {
					if f.Number == 1 {
						functions[id] = append(functions[id], string(f.Bytes))
					}
					return nil
				})
			}
			return nil
		})
	})
	for _, object := range creating {
		g.creators = append(g.creators, functions[object]...)
	}
	return err
}

// safeToCreate refuses what creating the model's objects would run, where that reaches outside
// the process; files that tables are read from lie where safeToLoad has seen them.
func (g *MetaGraph) safeToCreate() error {
	w := walker{g: g, fed: map[string]bool{}, clean: map[string]bool{}, harmless: map[string]bool{
		"InitializeTableFromTextFile": true, "InitializeTableFromTextFileV2": true,
	}}
	for _, name := range g.creators {
		if err := w.function(name, &call{name: name}); err != nil {
			return fmt.Errorf("at load: %w", err)
		}
	}
	return nil
}
