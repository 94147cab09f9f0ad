package tensorflow

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/internal/wire"
)

// A graph may hold operations that read files, write them, or open connections, and every
// SavedModel does: those that save and restore its variables. So what counts is what would
// be run: for the outputs asked for, and at load.

// outside are the operations that reach outside the process by what a graph says.
var outside = set(
	// whole files
	"ReadFile", "WriteFile", "MatchingFiles", "ExperimentalMatchingFilesDataset", "MatchingFilesDataset",
	// checkpoints
	"Save", "SaveSlices", "SaveV2", "Restore", "RestoreSlice", "RestoreV2", "MergeV2Checkpoints",
	"LoadAndRemapMatrix", "GenerateVocabRemapping", "DTensorRestoreV2", "DistributedSave",
	// tables
	"InitializeTableFromTextFile", "InitializeTableFromTextFileV2",
	// readers of TensorFlow 1
	"WholeFileReader", "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2",
	"FixedLengthRecordReader", "FixedLengthRecordReaderV2", "LMDBReader", "RecordInput",
	// data sets
	"TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2",
	"CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset", "LMDBDataset", "ExperimentalLMDBDataset",
	"SqlDataset", "ExperimentalSqlDataset", "CacheDataset", "CacheDatasetV2", "LoadDataset", "SaveDataset", "SaveDatasetV2",
	"SnapshotDataset", "SnapshotDatasetV2", "SnapshotDatasetReader", "SnapshotNestedDatasetReader", "SnapshotChunkDataset", "ListSnapshotChunksDataset",
	"DatasetToTFRecord", "ExperimentalDatasetToTFRecord",
	// a graph inside a string
	"DatasetFromGraph", "DeserializeIterator",
	// logs
	"CreateSummaryFileWriter", "CreateSummaryDbWriter", "DumpTensor", "CalibrationStatisticsSaver",
	// connections
	"DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3", "DataServiceDatasetV4",
	"RegisterDataset", "RegisterDatasetV2", "RpcServer", "RpcClient", "FileSystemSetConfiguration",
	// code of the process that calls it
	"PyFunc", "PyFuncStateless", "EagerPyFunc",
)

// places are the attributes of operations that reach outside only where the attribute says so,
// and the values that are harmless.
var places = map[string]struct {
	attr     string
	harmless []string
}{
	"PrintV2":                      {"output_stream", []string{"", "stdout", "stderr", "log(info)", "log(warning)", "log(error)"}},
	"DebugIdentity":                {"debug_urls", nil},
	"DebugIdentityV2":              {"debug_urls", nil},
	"DebugIdentityV3":              {"debug_urls", nil},
	"DebugNanCount":                {"debug_urls", nil},
	"DebugNumericSummary":          {"debug_urls", nil},
	"DecodeProtoV2":                {"descriptor_source", []string{"", "local://"}},
	"EncodeProto":                  {"descriptor_source", []string{"", "local://"}},
	"FixedUnigramCandidateSampler": {"vocab_file", []string{""}},
	"Skipgram":                     {"filename", []string{""}},
}

func set(names ...string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

// safeToRun refuses outputs that cannot be computed without reaching outside the process.
func (g *MetaGraph) safeToRun(inputs, outputs []End) error {
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

// safeToLoad refuses what loading would run, where that reaches for anything but the
// variables and the assets in the model's own folder.
func (g *MetaGraph) safeToLoad() error {
	fed := map[string]bool{}
	for name, file := range g.assets {
		if !filepath.IsLocal(file) {
			return fmt.Errorf("its asset %q lies outside its folder", file)
		}
		fed[canonical(name)] = true
	}
	if g.initOp != "" {
		w := walker{g: g, fed: fed, clean: map[string]bool{}, allowed: map[string]int{
			// by the index of the input that names the file
			"InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1,
		}}
		if err := w.tensor(g.initOp); err != nil {
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

// walker visits every operation that computing some tensors runs.
type walker struct {
	g       *MetaGraph
	fed     map[string]bool // tensors whose values are given
	allowed map[string]int  // operations that may take their file's name from a fed tensor, by that input
	clean   map[string]bool // operations and functions that reach nothing outside
	// operations that are let pass wherever they are
	harmless map[string]bool
	steps    int
}

// Limits that no honest graph comes near: functions can call each other in exponentially many
// ways, and messages can nest as deep as a file is long.
const (
	maxSteps   = 4_000_000
	maxNesting = 100
)

// call is where a function is run from; nil for the graph itself.
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
	// A stack of its own: graphs are deeper than calls should be.
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
		w.clean[operation] = true // it fails below, or it is
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
	switch place, ok := places[n.op]; {
	case n.op == "Placeholder" && in == nil:
		return fmt.Errorf("it depends on the input %q too", n.name)
	case mayRead && input < len(n.inputs) && w.given(n.inputs[input], in, from):
	case outside[n.op] && !w.harmless[n.op]:
		return fmt.Errorf("operation %q (%s) reads or writes files or connections, or runs code: refused", n.name, n.op)
	case ok && !slices.Contains(place.harmless, attrText(n.attrs[place.attr])):
		return fmt.Errorf("operation %q (%s) writes to %q: refused", n.name, n.op, attrText(n.attrs[place.attr]))
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

// function visits a whole body, of which TensorFlow may run all.
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
	for _, n := range f.nodes {
		if err := w.node(n, f, at); err != nil {
			return err
		}
		asked = asked || w.asks(n)
	}
	w.clean[key] = !asked
	return nil
}

// asks tells whether a node's safety depends on who calls the function that it is in.
func (w *walker) asks(n *node) bool {
	if _, mayRead := w.allowed[n.op]; mayRead {
		return true
	}
	functions, err := w.called(n)
	return err != nil || slices.ContainsFunc(functions, func(f string) bool { return !w.clean["function "+f] })
}

// called are the functions that a node names, in whatever attribute.
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

// given tells whether a string comes unchanged from a fed tensor.
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

// kept tells whether a variable only ever holds a fed tensor: TensorFlow 2 keeps the places of
// assets in variables.
func (w *walker) kept(handle string) bool {
	variable := w.g.nodes[handle]
	if variable == nil || variable.op != "VarHandleOp" {
		return false
	}
	assigned := false
	for _, n := range w.g.nodes {
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
	count := func(nodes map[string]*node) {
		for _, n := range nodes {
			if n.op == "VarHandleOp" && attrText(n.attrs["shared_name"]) == attrText(variable.attrs["shared_name"]) {
				handles++
			}
		}
	}
	count(w.g.nodes)
	for _, f := range w.g.functions {
		count(f.nodes)
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

// attrText reads an AttrValue that holds a string; the first of a list.
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
