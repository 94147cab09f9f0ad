// Package engines defines an engine: a value that opens graphs of one format, and describes itself.
//
// The packages onnx, tensorflow and pure provide engines.
// [github.com/forgo-ml/forgo/predict/engines/example] is a minimal one. A process passes its engines to
// [github.com/forgo-ml/forgo/predict.Load]. Code that reports, chooses or confines engines iterates over
// them and knows no engine by name.
package engines

import (
	"context"
	"errors"
	"time"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Engine opens graphs. An engine is a value that may be copied and is safe for concurrent use. It finds
// and loads its library when it first opens a graph.
type Engine interface {
	// Info describes the engine, without loading anything.
	Info() Info
	// Library returns the path and version of the engine's library, loading it if necessary.
	Library() (Library, error)
	// Open prepares a graph for running. The caller may discard the graph's bytes afterwards. The error
	// wraps [ErrUnsupported] if another engine of the format may run the graph.
	Open(ctx context.Context, g Graph, o SessionOptions) (Session, error)
}

// Info describes an engine.
type Info struct {
	// Name identifies the engine within a process, as in "onnxruntime". Required.
	Name string
	// Flag is the value of --engine that chooses the engine. Optional: Name, which always works too.
	Flag string
	// Title is what people call its library, as in "ONNX Runtime". Required.
	Title string
	// Format is the format of the graphs that the engine opens. Engines may share a format. Required.
	Format Format
	// OnlyFor names the only models that need the engine, as in "SavedModels". Optional: without the
	// engine's library, a machine cannot predict at all.
	OnlyFor string
	// BuiltIn says that the engine loads no library, so that it costs no more than the graphs that it opens.
	BuiltIn bool
	// NotPacked says why forgo pack does not copy the engine's library, as in "too large to pack". Optional.
	NotPacked string
	// Environment lists the variables that the engine and its library read, as names or prefixes of names.
	// An isolated engine's process receives no others. Optional.
	Environment []string
}

// Format is a kind of graph.
type Format struct {
	// Name is the value of a manifest's engine key, as in "onnxruntime". Required.
	Name string
	// Kind and Noun name a graph outside a bundle: Kind to programs, as in "onnx", and Noun to people, as
	// in "an ONNX file". Required.
	Kind, Noun string
	// Folder says that a graph is a folder rather than a file.
	Folder bool
	// Files identifies graphs outside bundles. A folder must contain one of these files, and the first is
	// the one to read. A file must have one of these extensions. Required.
	Files []string
	// Tags says that a folder may hold several graphs, which a bundle tells apart by tags.
	Tags bool
	// Platform is the format's name in the metadata of the Open Inference Protocol. TritonPlatform and
	// TritonBackend are its names in Triton's model configuration. Required.
	Platform, TritonPlatform, TritonBackend string
}

// Library is what runs an engine's graphs: a shared library, or a Go package.
type Library struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// Graph is a graph to open: the contents of a file whose digest was checked, and its path, for graphs of
// more than one file.
type Graph struct {
	Data []byte // the file's content; nil for a folder
	Path string // the file or folder; for Data, only error messages use it

	// The rest is for SavedModels, and optional if the model has only one choice.

	// Tags selects one of a SavedModel's graphs.
	Tags []string
	// Signature names the graph's inputs and outputs. Inputs and Outputs select some of them, or name
	// operations directly, as in "input_1" or "softmax:0".
	Signature       string
	Inputs, Outputs []string
	// Signatures lists further signatures to open in the same graph, for a [Signed] session.
	Signatures []GraphSignature
}

// GraphSignature is a signature of a SavedModel, with the inputs and outputs to use.
type GraphSignature struct {
	Name            string
	Inputs, Outputs []string
}

// SessionOptions tune one session. The zero value is useful.
type SessionOptions struct {
	// Threads is the number of threads that one run may use. Optional: as many as the process may run at
	// once, which in a container is its CPU limit.
	Threads int
	// RunTimeout bounds one run, for engines that can end a run by force. That also ends the session: see
	// [Mortal]. Optional: no bound.
	RunTimeout time.Duration
	// MaxOutputBytes bounds the outputs of one run together, for engines that run in another process.
	// Optional: no bound.
	MaxOutputBytes int64
}

// Session is an open graph. Run is safe for concurrent use.
type Session interface {
	// Inputs and Outputs describe the graph's inputs and outputs by its own names. A size of -1 is a free
	// dimension.
	Inputs() []tensor.Spec
	Outputs() []tensor.Spec
	// Run computes the named outputs. It only reads the inputs, and only during the call. The caller owns
	// the outputs, which share no memory with the session or the inputs. If ctx ends first, Run abandons
	// the run and its error wraps ctx.Err(). The error wraps [ErrInput] if the engine cannot take the
	// caller's values.
	Run(ctx context.Context, inputs tensor.Map, outputs []string) (tensor.Map, error)
	// Close waits for the runs under way and frees the graph. Closing again does nothing.
	Close() error
}

// Signed is a [Session] with several signatures.
type Signed interface {
	Session
	// Signed returns a session for one of [Graph.Signatures], or nil for any other name. The sessions
	// share the graph. Closing the original session frees it; closing the returned one does nothing.
	Signed(name string) Session
}

// Mortal is a [Session] whose engine is a separate process, which may end. Runs then fail with
// [ErrUnavailable], and the model opens its graphs again.
type Mortal interface {
	Session
	// Gone returns a channel that is closed when the engine ends. Err then returns why.
	Gone() <-chan struct{}
	Err() error
}

// Sizer is a [Session] that can tell the shapes of outputs from those of inputs, where the specs leave
// dimensions free.
type Sizer interface {
	// OutputShape returns the shape of an output for the given inputs, with -1 for sizes that are unknown
	// before the run. It returns nil if nothing is known.
	OutputShape(name string, inputs tensor.Map) []int64
}

// Errors that engines and sessions wrap.
var (
	// ErrInput means that the caller's input is at fault.
	ErrInput = errors.New("bad input")
	// ErrUnavailable means that the engine has ended or is out of memory. The same call may succeed later.
	ErrUnavailable = errors.New("the model's engine is not available")
	// ErrUnsupported means that the engine lacks something that the graph needs.
	ErrUnsupported = errors.New("the engine cannot run this graph")
)
