// Package onnx runs ONNX graphs with ONNX Runtime.
//
//	m, err := predict.Load(ctx, "digits.forgo", onnx.Engine())
//
// The shared library is opened at run time. It is looked for, in this order, at the
// [Library] option, in the environment variable FORGO_ONNXRUNTIME, beside the running
// binary, in the onnxruntime wheel of the Python environment, and on the system.
//
// ONNX Runtime's telemetry is turned off before the library is opened, by setting
// ORT_DISABLE_TELEMETRY in the process's environment.
package onnx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/forgo-ml/forgo/predict"
)

// Option changes how the engine is set up.
type Option func(*engine)

// Library names the ONNX Runtime shared library. No other place is tried.
func Library(path string) Option { return func(e *engine) { e.library = path } }

// Engine returns the ONNX Runtime engine. Nothing is loaded until it is used. A process has
// one ONNX Runtime: the first engine used decides which.
func Engine(options ...Option) predict.Engine {
	e := engine{}
	for _, o := range options {
		o(&e)
	}
	return e
}

type engine struct{ library string }

func (e engine) Name() string { return "onnxruntime" }

// loaded is the process's one ONNX Runtime.
var loaded struct {
	sync.Mutex
	library predict.Library
}

func (e engine) Library() (predict.Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.library.Path != "" {
		if e.library != "" && e.library != loaded.library.Path {
			return predict.Library{}, fmt.Errorf("load ONNX Runtime from %s: this process already has %s", e.library, loaded.library.Path)
		}
		return loaded.library, nil
	}
	lib, err := find(e.library)
	if err != nil {
		return predict.Library{}, err
	}
	ort.SetSharedLibraryPath(lib.Path)
	// What matters comes back as an error; a library does not write to stderr.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return predict.Library{}, fmt.Errorf("load ONNX Runtime from %s: %w", lib.Path, err)
	}
	// A library that the program itself opened first did not see the variable.
	if err := ort.DisableTelemetry(); err != nil {
		return predict.Library{}, fmt.Errorf("turn ONNX Runtime's telemetry off: %w", err)
	}
	loaded.library = lib
	return lib, nil
}

// domains whose operations ONNX Runtime brings itself; anything else would need a custom
// library, which could do whatever it likes.
var domains = []string{"ai.onnx", "ai.onnx.ml", "com.microsoft"}

func (e engine) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (predict.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data := g.Data
	if data == nil {
		var err error
		if data, err = os.ReadFile(g.Path); err != nil {
			return nil, fmt.Errorf("open ONNX graph: %w", err)
		}
	}
	info, err := Inspect(data)
	if err != nil {
		return nil, fmt.Errorf("open ONNX graph: %s: %w", filepath.Base(g.Path), err)
	}
	if err := info.safe(); err != nil {
		return nil, fmt.Errorf("open ONNX graph: %s: %w", filepath.Base(g.Path), err)
	}
	if err := info.choose(g); err != nil {
		return nil, fmt.Errorf("open ONNX graph: %s: %w", filepath.Base(g.Path), err)
	}
	if _, err := e.Library(); err != nil {
		return nil, err
	}
	return newSession(g.Path, data, info, o)
}

// safe refuses what could reach outside the graph.
func (g Info) safe() error {
	if len(g.External) > 0 {
		return fmt.Errorf("it keeps weights in another file (%s), which is not supported: save it as one file", g.External[0])
	}
	for domain := range g.Opsets {
		known := g.domains[domain]
		for _, d := range domains {
			known = known || d == domain
		}
		if !known && g.uses(domain) {
			return fmt.Errorf("it has operations of the domain %q, which need a custom library", domain)
		}
	}
	return nil
}

func (g Info) uses(domain string) bool {
	for op := range g.Ops {
		if strings.HasPrefix(op, domain+".") {
			return true
		}
	}
	return false
}

func newSession(path string, data []byte, info Info, o predict.SessionOptions) (predict.Session, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("open ONNX graph: %w", err)
	}
	defer func() { _ = options.Destroy() }()
	threads := o.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	err = errors.Join(
		options.SetIntraOpNumThreads(threads),
		options.SetInterOpNumThreads(1),
		// Waiting threads sleep: a server's cores belong to its other requests.
		options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	)
	if err != nil {
		return nil, fmt.Errorf("open ONNX graph: %w", err)
	}
	s := &session{inputs: info.Inputs, outputs: info.Outputs, idle: make(chan stopper, maxIdle)}
	var in, out []string
	for _, t := range info.Inputs {
		in = append(in, t.Name)
	}
	for _, t := range info.Outputs {
		out = append(out, t.Name)
	}
	if s.ort, err = ort.NewDynamicAdvancedSessionWithONNXData(data, in, out, options); err != nil {
		return nil, fmt.Errorf("open ONNX graph: %s: %w", filepath.Base(path), err)
	}
	return s, nil
}
