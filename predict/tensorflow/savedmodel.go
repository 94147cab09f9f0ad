package tensorflow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// The field numbers here are those of TensorFlow's saved_model.proto, meta_graph.proto,
// graph.proto, node_def.proto, function.proto and attr_value.proto.

// GraphFile is the file in a SavedModel's folder that holds its graphs.
const GraphFile = "saved_model.pb"

// MetaGraph is a graph of a SavedModel, with its signatures.
type MetaGraph struct {
	Tags       []string // sorted
	Version    string
	Signatures []SignatureDef // by name
	// Placeholders are the graph's own inputs, by operation name.
	Placeholders []tensor.Spec
	// Results are the operations that nothing consumes and that depend on a placeholder.
	Results []tensor.Spec
	Ops     map[string]int // type to count, bodies of functions included

	constants  int64 // bytes that the graph's constants become
	order      []*node
	nodes      map[string]*node // the same, by name
	defs       []*function
	functions  map[string]*function // the same, by name
	gradients  map[string]string
	initOps    []string            // run at load
	collected  []string            // what Python may run at load: tensors and operations in collections
	made       []object            // what Python makes at load
	bound      map[string][]uint64 // what a function captures of it
	restoreOp  string              // run at load, if there are variables
	savedPaths string              // the tensor that restoreOp takes the variables' place from
	assets     map[string]string   // tensor, without ":0", to file in assets/
	assetFiles []string            // of all of them: two may be said to be of one tensor
}

// SignatureDef is a signature of a graph: names for some of its tensors.
type SignatureDef struct {
	Name    string
	Method  string
	Inputs  []NamedTensor
	Outputs []NamedTensor
}

// NamedTensor is an input or output of a signature: a name, and the tensor that it stands for.
type NamedTensor struct {
	tensor.Spec
	Tensor string // "OPERATION:INDEX"; "" for sparse and composite tensors
}

// Inspect reads the structure of the SavedModel in a folder. It reads no weights, runs nothing, and needs
// no TensorFlow.
func Inspect(dir string) ([]MetaGraph, error) {
	data, err := readGraphs(dir)
	if err != nil {
		return nil, err
	}
	return Read(data)
}

// Read is like Inspect, for the contents of saved_model.pb.
func Read(data []byte) ([]MetaGraph, error) {
	var graphs []MetaGraph
	err := wire.Fields(data, func(f wire.Field) error {
		if f.Number != 2 {
			return nil
		}
		g, err := readMetaGraph(f.Bytes)
		graphs = append(graphs, g)
		return err
	})
	if err == nil && len(graphs) == 0 {
		err = errors.New("it has no graph")
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not a complete SavedModel: %w", GraphFile, err)
	}
	return graphs, nil
}

func readGraphs(dir string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, GraphFile))
	if err == nil {
		return data, checkForms(dir)
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, errors.New("no such folder")
	} else if !info.IsDir() {
		return nil, errors.New("a SavedModel is a folder")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := checkForms(dir); err != nil {
		return nil, err
	}
	var have []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if len(have) == 0 {
		return nil, fmt.Errorf("not a SavedModel: it has no %s, it is empty", GraphFile)
	}
	return nil, fmt.Errorf("not a SavedModel: it has no %s, only %s", GraphFile, list(have))
}

// otherForms are files that may hold a SavedModel's graphs instead of GraphFile.
var otherForms = []string{"saved_model.pbtxt", "saved_model.cpb"}

// checkForms returns an error if the folder also has a graph in another form, which TensorFlow might load
// instead of the one that is checked.
func checkForms(dir string) error {
	for _, other := range otherForms {
		if _, err := os.Lstat(filepath.Join(dir, other)); err == nil {
			return fmt.Errorf("it holds %s, which forgo does not read: save it again as %s alone", other, GraphFile)
		}
	}
	return nil
}

func readMetaGraph(b []byte) (MetaGraph, error) {
	g := MetaGraph{
		Tags: []string{}, Signatures: []SignatureDef{}, Ops: map[string]int{}, nodes: map[string]*node{},
		functions: map[string]*function{}, gradients: map[string]string{}, assets: map[string]string{},
	}
	var oldAssets [][]byte
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			return g.metaInfo(f.Bytes)
		case 2:
			return wire.Fields(f.Bytes, func(f wire.Field) error { // GraphDef
				switch f.Number {
				case 1:
					n, err := g.readNode(f.Bytes)
					g.nodes[n.name] = n
					g.order = append(g.order, n)
					return err
				case 2:
					return g.library(f.Bytes)
				}
				return nil
			})
		case 3:
			return wire.Fields(f.Bytes, func(f wire.Field) error { // SaverDef
				switch f.Number {
				case 1:
					g.savedPaths = string(f.Bytes)
				case 3:
					g.restoreOp = string(f.Bytes)
				}
				return nil
			})
		case 4:
			return g.collection(f.Bytes, &oldAssets)
		case 5:
			s, err := readSignature(f.Bytes)
			g.Signatures = append(g.Signatures, s)
			return err
		case 6:
			return g.asset(f.Bytes)
		case 7:
			return g.objects(f.Bytes)
		}
		return nil
	})
	slices.Sort(g.Tags)
	slices.SortFunc(g.Signatures, func(a, b SignatureDef) int { return strings.Compare(a.Name, b.Name) })
	if len(g.assets) == 0 {
		for _, asset := range oldAssets {
			err = errors.Join(err, g.asset(asset))
		}
	}
	// These signatures are bookkeeping and cannot be called.
	g.Signatures = slices.DeleteFunc(g.Signatures, func(s SignatureDef) bool {
		hidden := strings.HasPrefix(s.Name, "__saved_model_")
		for _, e := range s.Outputs {
			if hidden && e.Tensor != "" {
				g.initOps = append(g.initOps, e.Tensor)
			}
		}
		return hidden
	})
	g.findTensors(g.order)
	return g, err
}

func (g *MetaGraph) metaInfo(b []byte) error {
	return wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 4:
			g.Tags = append(g.Tags, string(f.Bytes))
		case 5:
			g.Version = string(f.Bytes)
		}
		return nil
	})
}

// collection records what may run at load from a list of operations or of TensorFlow 1 variables, and the
// assets of TensorFlow 1.
func (g *MetaGraph) collection(b []byte, assets *[][]byte) error {
	key, value, err := wire.Entry(b)
	if err != nil {
		return err
	}
	return wire.Fields(value, func(f wire.Field) error {
		kind := f.Number
		return wire.Fields(f.Bytes, func(f wire.Field) error {
			switch {
			case kind == 1 && (key == "saved_model_main_op" || key == "legacy_init_op"): // names of nodes
				g.initOps = append(g.initOps, string(f.Bytes))
			case kind == 1:
				g.collected = append(g.collected, string(f.Bytes))
			case kind == 2 && key != "savers": // VariableDef: its value at first, and what assigns and reads it
				_ = wire.Fields(f.Bytes, func(f wire.Field) error { // another message, which is not run
					if f.Number == 2 || f.Number == 3 || f.Number == 6 {
						g.collected = append(g.collected, string(f.Bytes))
					}
					return nil
				})
			case kind == 5 && key == "saved_model_assets":
				_, asset, err := wire.Entry(f.Bytes) // an Any: its type, and its bytes
				*assets = append(*assets, asset)
				return err
			}
			return nil
		})
	})
}

func readSignature(b []byte) (SignatureDef, error) {
	s := SignatureDef{Inputs: []NamedTensor{}, Outputs: []NamedTensor{}}
	name, value, err := wire.Entry(b)
	if err != nil {
		return s, err
	}
	s.Name = name
	err = wire.Fields(value, func(f wire.Field) error {
		switch f.Number {
		case 1, 2:
			e, err := readNamedTensor(f.Bytes)
			if f.Number == 1 {
				s.Inputs = append(s.Inputs, e)
			} else {
				s.Outputs = append(s.Outputs, e)
			}
			return err
		case 3:
			s.Method = string(f.Bytes)
		}
		return nil
	})
	byName := func(a, b NamedTensor) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(s.Inputs, byName)
	slices.SortFunc(s.Outputs, byName)
	return s, err
}

func readNamedTensor(b []byte) (NamedTensor, error) {
	var e NamedTensor
	name, info, err := wire.Entry(b)
	if err != nil {
		return e, err
	}
	e.Name = name
	e.Shape = []int64{} // a message without fields is a scalar's
	err = wire.Fields(info, func(f wire.Field) error {
		switch f.Number {
		case 1:
			e.Tensor = string(f.Bytes)
		case 2:
			e.DType = dtypeOf(f.Varint)
		case 3:
			var err error
			e.Shape, err = readShape(f.Bytes)
			return err
		}
		return nil
	})
	return e, err
}

func (g *MetaGraph) asset(b []byte) error {
	fed, file := "", ""
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 1:
			return wire.Fields(f.Bytes, func(f wire.Field) error {
				if f.Number == 1 {
					fed = string(f.Bytes)
				}
				return nil
			})
		case 2:
			file = string(f.Bytes)
		}
		return nil
	})
	g.assets[strings.TrimSuffix(fed, ":0")] = file
	g.assetFiles = append(g.assetFiles, file)
	return err
}

// readShape reads a TensorShapeProto. -1 is a free size; nil is a free rank.
func readShape(b []byte) ([]int64, error) {
	shape := []int64{}
	free := false
	err := wire.Fields(b, func(f wire.Field) error {
		switch f.Number {
		case 2:
			size := int64(0)
			err := wire.Fields(f.Bytes, func(f wire.Field) error {
				if f.Number == 1 {
					size = int64(f.Varint)
				}
				return nil
			})
			shape = append(shape, max(size, -1))
			return err
		case 3:
			free = f.Varint != 0
		}
		return nil
	})
	if free {
		return nil, err
	}
	return shape, err
}
