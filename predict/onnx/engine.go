// Package onnx runs ONNX graphs with ONNX Runtime.
//
//	m, err := predict.Load(ctx, "digits.forgo", onnx.Engine())
//
// The engine opens ONNX Runtime's shared library at run time. It looks, in this order, at the [Library]
// option, in the environment variable FORGO_ONNXRUNTIME, beside the running binary, in the onnxruntime
// wheel of the Python environment, and on the system.
//
// It turns off ONNX Runtime's telemetry by setting ORT_DISABLE_TELEMETRY in the process's environment
// before it opens the library.
package onnx

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/onnx/internal/ort"
)

// Option configures the engine.
type Option func(*engine)

// Library sets the path of ONNX Runtime's shared library. The engine tries no other place.
func Library(path string) Option { return func(e *engine) { e.path = path } }

// Engine returns the ONNX Runtime engine. It loads nothing until it is used. A process has one ONNX
// Runtime: the first engine that is used decides which.
func Engine(options ...Option) predict.Engine {
	e := engine{}
	for _, o := range options {
		o(&e)
	}
	return e
}

type engine struct{ path string }

// loaded is the process's one ONNX Runtime.
var loaded struct {
	sync.Mutex
	info engines.Library
	ort  *ort.Library
}

func (e engine) Library() (engines.Library, error) {
	library, _, err := e.load()
	return library, err
}

func (e engine) load() (engines.Library, *ort.Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.ort != nil {
		if e.path != "" && e.path != loaded.info.Path {
			return engines.Library{}, nil, fmt.Errorf("load ONNX Runtime from %s: this process already has %s", e.path, loaded.info.Path)
		}
		return loaded.info, loaded.ort, nil
	}
	lib, err := find(e.path)
	if err != nil {
		return engines.Library{}, nil, err
	}
	opened, err := ort.Open(lib.Path)
	if err != nil {
		return engines.Library{}, nil, fmt.Errorf("load ONNX Runtime from %s: %w", lib.Path, err)
	}
	loaded.info, loaded.ort = lib, opened
	return lib, opened, nil
}

// MaxFile bounds an ONNX file in bytes: a protobuf message has at most 2 GiB.
const MaxFile = 2 << 30

// Check returns the error with which an [Engine] refuses g before it loads anything: data outside the
// file, operators that a graph may not have, or missing inputs and outputs. It needs no ONNX Runtime.
func Check(g predict.Graph) error {
	_, _, err := check(g)
	return err
}

// check reads the graph, and refuses what must not be loaded.
func check(g predict.Graph) (data []byte, info Info, err error) {
	if data = g.Data; data == nil {
		if data, err = regular.Read(g.Path, MaxFile); err != nil {
			return nil, info, fmt.Errorf("open ONNX graph: %w", err)
		}
	}
	if info, err = Inspect(data); err == nil {
		err = info.safe()
	}
	if err == nil {
		err = info.choose(g)
	}
	if err == nil {
		err = info.tensors()
	}
	if err != nil {
		return nil, info, fmt.Errorf("open ONNX graph: %s: %w", filepath.Base(g.Path), err)
	}
	return data, info, nil
}

func (e engine) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, info, err := check(g)
	if err != nil {
		return nil, err
	}
	_, lib, err := e.load()
	if err != nil {
		return nil, err
	}
	s, err := newSession(lib, data, info, o)
	if err != nil {
		return nil, fmt.Errorf("open ONNX graph: %s: %w", filepath.Base(g.Path), err)
	}
	return s, nil
}

// safe refuses what could reach outside the graph.
func (g Info) safe() error {
	switch {
	case len(g.External) > 0:
		return fmt.Errorf("it keeps weights in another file (%s), which is not supported: save it as one file", g.External[0])
	case g.outside:
		return errors.New("it refers to data outside the file, which is not supported: save it as one file")
	case g.unknown != "":
		return fmt.Errorf("it has %s, which this forgo's onnx.proto does not define: refused", g.unknown)
	}
	for op := range g.used {
		switch {
		case g.functions[op] || op.domain == "":
		case !slices.Contains(domains, op.domain):
			return fmt.Errorf("it has operations of the domain %q, which need a custom library", op.domain)
		case op.domain == microsoft && !contributed[op.name]:
			return fmt.Errorf("operation %s.%s is not on the list of allowed operations: refused", op.domain, op.name)
		}
	}
	return nil
}
