package tensorflow

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/forgo-ml/forgo/internal/corpus"
	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// message puts fields together: a number, then a string or another message.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		value, ok := fields[i+1].([]byte)
		if !ok {
			value = []byte(fields[i+1].(string))
		}
		b = protowire.AppendBytes(protowire.AppendTag(b, protowire.Number(fields[i].(int)), protowire.BytesType), value)
	}
	return b
}

func nodeOf(name, op string, fields ...any) []byte {
	return message(append([]any{1, name, 2, op}, fields...)...)
}

// calls is a node's attribute that names a function.
func calls(function string) []byte { return message(1, "f", 2, message(10, message(1, function))) }

func functionOf(name string, fields ...any) []byte {
	return message(append([]any{1, message(1, name)}, fields...)...)
}

// metaGraph makes a graph of nodes, with functions.
func metaGraph(t *testing.T, nodes [][]byte, functions ...[]byte) MetaGraph {
	t.Helper()
	var graph, library []byte
	for _, n := range nodes {
		graph = append(graph, message(1, n)...)
	}
	for _, f := range functions {
		library = append(library, message(1, f)...)
	}
	g, err := readMetaGraph(message(2, append(graph, message(2, library)...)))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func end1(tensor1 string) []NamedTensor {
	return []NamedTensor{{Spec: tensor.Spec{Name: tensor1}, Tensor: tensor1}}
}

func TestSafeToRun(t *testing.T) {
	read := nodeOf("content", "ReadFile", 3, "x")
	x := nodeOf("x", "Placeholder")
	for name, c := range map[string]struct {
		graph MetaGraph
		says  string // "" where it is safe
	}{
		"not reached":        {metaGraph(t, [][]byte{x, read, nodeOf("y", "Identity", 3, "x")}), ""},
		"reached":            {metaGraph(t, [][]byte{x, read, nodeOf("y", "Identity", 3, "content")}), "ReadFile"},
		"by control":         {metaGraph(t, [][]byte{x, read, nodeOf("y", "Identity", 3, "x", 3, "^content")}), "ReadFile"},
		"by a later output":  {metaGraph(t, [][]byte{x, nodeOf("s", "Split", 3, "content"), read, nodeOf("y", "Identity", 3, "s:1")}), "ReadFile"},
		"round a loop":       {metaGraph(t, [][]byte{x, nodeOf("n", "NextIteration", 3, "y"), nodeOf("y", "Merge", 3, "x", 3, "n")}), ""},
		"another input":      {metaGraph(t, [][]byte{x, nodeOf("z", "Placeholder"), nodeOf("y", "Add", 3, "x", 3, "z")}), `"z"`},
		"in a function":      {metaGraph(t, [][]byte{x, nodeOf("y", "PartitionedCall", 3, "x", 5, calls("f"))}, functionOf("f", 3, nodeOf("r", "ReadFile"))), "ReadFile"},
		"in a function's":    {metaGraph(t, [][]byte{x, nodeOf("y", "While", 3, "x", 5, calls("f"))}, functionOf("f", 3, nodeOf("c", "If", 5, calls("g"))), functionOf("g", 3, nodeOf("r", "WriteFile"))), "WriteFile"},
		"function as a type": {metaGraph(t, [][]byte{x, nodeOf("y", "f", 3, "x")}, functionOf("f", 3, nodeOf("r", "ReadFile"))), "ReadFile"},
		"in a list": {metaGraph(t, [][]byte{x, nodeOf("y", "Case", 3, "x", 5, message(1, "branches", 2, message(1, message(9, message(1, "f")))))},
			functionOf("f", 3, nodeOf("r", "ReadFile"))), "ReadFile"},
		"calls itself":      {metaGraph(t, [][]byte{x, nodeOf("y", "PartitionedCall", 3, "x", 5, calls("f"))}, functionOf("f", 3, nodeOf("c", "PartitionedCall", 5, calls("f")))), ""},
		"function not used": {metaGraph(t, [][]byte{x, nodeOf("y", "Identity", 3, "x")}, functionOf("f", 3, nodeOf("r", "ReadFile"))), ""},
	} {
		err := c.graph.safeToRun(end1("x"), end1("y"))
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}

func TestSafeToLoad(t *testing.T) {
	const table = "InitializeTableFromTextFileV2"
	asset, constant := nodeOf("asset", "Const"), nodeOf("constant", "Const")
	body := functionOf("f", 3, nodeOf("t", table, 3, "handle", 3, "path"))
	body = append(message(1, message(1, "f", 2, message(1, "path"))), body[len(message(1, message(1, "f"))):]...)
	variable := nodeOf("v", "VarHandleOp", 5, message(1, "shared_name", 2, message(2, "v")))
	same := nodeOf("w", "VarHandleOp", 5, message(1, "shared_name", 2, message(2, "v")))
	kept := nodeOf("read", "ReadVariableOp", 3, "v")
	for name, c := range map[string]struct {
		nodes [][]byte
		safe  bool
	}{
		"an asset":                    {[][]byte{asset, nodeOf("init", table, 3, "h", 3, "asset")}, true},
		"an asset, passed on":         {[][]byte{asset, nodeOf("i", "Identity", 3, "asset"), nodeOf("init", table, 3, "h", 3, "i")}, true},
		"a constant":                  {[][]byte{asset, constant, nodeOf("init", table, 3, "h", 3, "constant")}, false},
		"made of an asset":            {[][]byte{asset, nodeOf("i", "StringJoin", 3, "asset"), nodeOf("init", table, 3, "h", 3, "i")}, false},
		"an asset, in a function":     {[][]byte{asset, nodeOf("init", "PartitionedCall", 3, "asset", 5, calls("f"))}, true},
		"a constant, in a function":   {[][]byte{asset, constant, nodeOf("init", "PartitionedCall", 3, "constant", 5, calls("f"))}, false},
		"first one, then the other":   {[][]byte{asset, constant, nodeOf("first", "PartitionedCall", 3, "asset", 5, calls("f")), nodeOf("init", "PartitionedCall", 3, "constant", 3, "^first", 5, calls("f"))}, false},
		"in a loop's function":        {[][]byte{asset, nodeOf("init", "While", 3, "asset", 5, calls("f"))}, false},
		"kept in a variable":          {[][]byte{asset, variable, kept, nodeOf("a", "AssignVariableOp", 3, "v", 3, "asset"), nodeOf("init", table, 3, "h", 3, "read", 3, "^a")}, true},
		"a variable of another":       {[][]byte{asset, constant, variable, kept, nodeOf("a", "AssignVariableOp", 3, "v", 3, "constant"), nodeOf("init", table, 3, "h", 3, "read")}, false},
		"a variable assigned twice":   {[][]byte{asset, constant, variable, kept, nodeOf("a", "AssignVariableOp", 3, "v", 3, "asset"), nodeOf("b", "AssignVariableOp", 3, "v:0", 3, "constant"), nodeOf("init", table, 3, "h", 3, "read")}, false},
		"a variable by another name":  {[][]byte{asset, constant, variable, same, kept, nodeOf("a", "AssignVariableOp", 3, "v", 3, "asset"), nodeOf("b", "AssignVariableOp", 3, "w", 3, "constant"), nodeOf("init", table, 3, "h", 3, "read")}, false},
		"a variable in a function":    {[][]byte{asset, variable, kept, nodeOf("a", "AssignVariableOp", 3, "v", 3, "asset"), nodeOf("b", "PartitionedCall", 3, "v", 5, calls("f")), nodeOf("init", table, 3, "h", 3, "read")}, false},
		"a variable assigned nothing": {[][]byte{asset, variable, kept, nodeOf("init", table, 3, "h", 3, "read")}, false},
		"a file written":              {[][]byte{asset, nodeOf("init", "WriteFile", 3, "asset", 3, "asset")}, false},
	} {
		g := metaGraph(t, c.nodes, body)
		g.initOps, g.assets = []string{"init"}, map[string]string{"asset": "words.txt"}
		if err := g.safeToLoad(); (err == nil) != c.safe {
			t.Errorf("%s: got %v, want it safe: %v", name, err, c.safe)
		}
	}
	restore := metaGraph(t, [][]byte{nodeOf("place", "Placeholder"), constant, nodeOf("r", "RestoreV2", 3, "place"), nodeOf("other", "RestoreV2", 3, "constant")})
	restore.savedPaths = "place:0"
	for op, safe := range map[string]bool{"r": true, "other": false} {
		restore.restoreOp = op
		if err := restore.safeToLoad(); (err == nil) != safe {
			t.Errorf("restoring from %s: got %v, want it safe: %v", op, err, safe)
		}
	}
}

// Functions that each call the next one twice make more calls than can be followed.
func TestSafeToLoadEnds(t *testing.T) {
	if racetest.Enabled {
		t.Skip("one goroutine walks every way; the run without the race detector tests it")
	}
	const depth = 40
	taking := func(name string, nodes ...any) []byte {
		return message(append([]any{1, message(1, name, 2, message(1, "path"))}, nodes...)...)
	}
	name := func(i int) string { return string(rune('A' + i)) }
	var functions [][]byte
	for i := range depth {
		functions = append(functions, taking(name(i),
			3, nodeOf("a", "PartitionedCall", 3, "path", 5, calls(name(i+1))), 3, nodeOf("b", "PartitionedCall", 3, "path", 5, calls(name(i+1)))))
	}
	functions = append(functions, taking(name(depth), 3, nodeOf("t", "InitializeTableFromTextFileV2", 3, "handle", 3, "path")))
	g := metaGraph(t, [][]byte{nodeOf("asset", "Const"), nodeOf("init", "PartitionedCall", 3, "asset", 5, calls(name(0)))}, functions...)
	g.initOps, g.assets = []string{"init"}, map[string]string{"asset": "words.txt"}
	if err := g.safeToLoad(); err == nil || !strings.Contains(err.Error(), "too many ways") {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	corpus.Add(f)
	for _, name := range []string{"affine", "slow", "text", "several"} {
		data, err := os.ReadFile(filepath.Join("../../conformance/savedmodels", name, GraphFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	noTypes := message(1, "T", 2, message(1, message(6, "")))
	f.Add(message(2, message(2, message(1, nodeOf("x", "Placeholder"), 1, nodeOf("y", "Identity", 3, "x", 5, noTypes)))))
	f.Fuzz(func(_ *testing.T, data []byte) {
		graphs, _ := Read(data)
		for _, g := range graphs {
			_ = g.safeToLoad()
			inputs, outputs, err := g.choose(predict.Graph{})
			if err == nil {
				_ = g.safeToRun(inputs, outputs)
			}
		}
	})
}

// One asset lies in the folder; another, of the same tensor, does not.
func TestEveryAssetIsHeldToTheFolder(t *testing.T) {
	asset := func(file string) []byte { return message(1, message(1, "asset:0"), 2, file) }
	for _, files := range [][2]string{{"words.txt", "../../secret"}, {"../../secret", "words.txt"}} {
		g, err := readMetaGraph(message(2, message(1, nodeOf("asset", "Const")), 6, asset(files[0]), 6, asset(files[1])))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.safeToLoad(); err == nil || !strings.Contains(err.Error(), "../../secret") {
			t.Errorf("%v: got %v", files, err)
		}
	}
}

// One number in a file stands for a terabyte of them.
func TestConstantsAreBounded(t *testing.T) {
	constant := func(dims ...uint64) []byte {
		var shape []byte
		for _, d := range dims {
			shape = append(shape, message(2, protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), d))...)
		}
		float := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
		return nodeOf("c", "Const", 5, message(1, "value", 2, message(8, append(float, message(2, shape)...))))
	}
	for name, c := range map[string]struct {
		dims []uint64
		safe bool
	}{
		"weights":         {[]uint64{4096, 4096}, true},
		"a scalar":        {nil, true},
		"terabytes":       {[]uint64{1 << 20, 1 << 20}, false},
		"an overflow":     {[]uint64{1 << 40, 1 << 40, 1 << 40}, false},
		"nothing, really": {[]uint64{1 << 40, 0}, true},
	} {
		g := metaGraph(t, [][]byte{constant(c.dims...)})
		if err := g.safe(); (err == nil) != c.safe {
			t.Errorf("%s: got %v", name, err)
		}
	}
	body := metaGraph(t, nil, functionOf("f", 3, constant(1<<20, 1<<20)))
	if err := body.safe(); err == nil {
		t.Error("in a function: it is safe")
	}
}

// What is to be run at load is walked once, however often it is named.
func TestWalksEnd(t *testing.T) {
	const many = 20_000
	var nodes [][]byte
	for i := range many {
		nodes = append(nodes, nodeOf(fmt.Sprint("n", i), "NoOp", 3, fmt.Sprint("^n", i+1)))
	}
	g := metaGraph(t, append(nodes, nodeOf(fmt.Sprint("n", many), "NoOp")))
	for i := range many {
		g.initOps = append(g.initOps, fmt.Sprint("n", i))
	}
	g.collected = g.initOps
	start := time.Now()
	if err := errors.Join(g.safeToLoad(), g.safeToCreate(), g.safe()); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
