// Package pure runs small ONNX graphs in Go: without a shared library or cgo.
//
//	m, err := predict.Load(ctx, "digits.forgo", pure.Engine())
//
// It supports the operators of trees, linear models, dense and small convolutional networks, and their
// preprocessing; [Operators] lists them. It refuses a graph with any other operator, which the error
// names, so that another engine can be tried.
//
// A run happens in its caller's goroutine. Later runs reuse its memory, so that a run allocates only the
// answer.
package pure

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Engine returns the engine. It has nothing to load.
func Engine() predict.Engine { return engine{} }

type engine struct{}

func (engine) Info() engines.Info {
	return engines.Info{Name: "pure", Title: "pure Go", Format: onnxformat.Format, OnlyFor: "machines without ONNX Runtime", BuiltIn: true}
}

// Library reports this package and, if the build recorded it, the module's version.
func (engine) Library() (engines.Library, error) {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return engines.Library{Path: "github.com/forgo-ml/forgo/predict/pure", Version: version}, nil
}

// maxFile bounds an ONNX file, in bytes: the engine is for small graphs.
const maxFile = 512 << 20

// Open reads and plans a graph. It ignores the options, since a run uses one goroutine.
func (engine) Open(ctx context.Context, g predict.Graph, _ predict.SessionOptions) (engines.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := openSafely(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("open ONNX graph: %s: %w", filepath.Base(g.Path), err)
	}
	return s, nil
}

// errPanic is a panic in a kernel. It ends the opening or the run, but not the process.
type errPanic struct{ of any }

func (e errPanic) Error() string { return fmt.Sprintf("panic: %v", e.of) }

func openSafely(ctx context.Context, g predict.Graph) (s *session, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, errPanic{p}
		}
	}()
	return open(ctx, g)
}

func open(ctx context.Context, want predict.Graph) (*session, error) {
	data := want.Data
	if data == nil {
		var err error
		if data, err = regular.Read(want.Path, maxFile); err != nil {
			return nil, err
		}
	}
	g, err := decode(data)
	if err != nil {
		return nil, err
	}
	if len(want.Tags) > 0 || want.Signature != "" {
		return nil, fmt.Errorf("an ONNX graph has no tags or signatures; a SavedModel has")
	}
	if len(want.Outputs) > 0 {
		if err := g.choose(want.Outputs); err != nil {
			return nil, err
		}
	}
	p, err := planGraph(ctx, g, nil)
	if err != nil {
		return nil, err
	}
	s := &session{plan: p, dims: map[string][]string{}}
	for _, in := range g.inputs {
		if _, isConstant := g.constants[in.Name]; !isConstant {
			s.inputs = append(s.inputs, in.Spec)
			s.dims[in.Name] = in.Dims
		}
	}
	for _, out := range g.outputs {
		s.outputs = append(s.outputs, out.Spec)
		s.dims[out.Name] = out.Dims
	}
	return s, nil
}

// choose keeps the chosen outputs.
func (g *graph) choose(names []string) error {
	var chosen []onnxformat.Value
	for _, name := range names {
		i := slices.IndexFunc(g.outputs, func(v onnxformat.Value) bool { return v.Name == name })
		if i < 0 {
			return fmt.Errorf("the graph has no output %s", tensor.Quote(name))
		}
		chosen = append(chosen, g.outputs[i])
	}
	g.outputs = chosen
	return nil
}
