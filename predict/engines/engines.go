// Package engines says what an engine is: a value that opens graphs of one format, and describes itself.
//
// The packages onnx, tensorflow and pure have engines; [github.com/forgo-ml/forgo/predict/engines/example]
// is the least that one needs. A process offers those that it wants to [github.com/forgo-ml/forgo/predict.Load],
// and everything that reports, chooses or confines engines iterates over them: nothing else knows their names.
package engines

import (
	"context"
	"errors"
	"time"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// Engine opens graphs. An engine is a value that may be copied and used from many
// goroutines; its library is found and loaded when a graph is first opened.
type Engine interface {
	// Info describes the engine. It loads nothing.
	Info() Info
	// Library reports the loaded library's path and version, loading it if need be.
	Library() (Library, error)
	// Open prepares a graph for running. The graph's bytes may be discarded afterwards. The error wraps
	// [ErrUnsupported] where another engine of the format may run the graph.
	Open(ctx context.Context, g Graph, o SessionOptions) (Session, error)
}

// Info describes an engine.
type Info struct {
	// Name tells the engine from the others of a process, as in "onnxruntime". Required.
	Name string
	// Title is what people call its library, as in "ONNX Runtime". Required.
	Title string
	// Format is that of the graphs that it opens. Several engines may share one. Required.
	Format Format
	// OnlyFor names the models that alone need the engine, as in "SavedModels". Optional: a machine
	// without its library can predict nothing.
	OnlyFor string
	// Environment has the variables that the engine and its library read: names, or the beginnings
	// of names. A process that runs the engine alone is given no other. Optional.
	Environment []string
}

// Format is a kind of graph.
type Format struct {
	// Name is what a manifest's engine key says, as in "onnxruntime". Required.
	Name string
	// Kind and Noun name a graph outside of bundles, to programs as in "onnx", and to people as in
	// "an ONNX file". Required.
	Kind, Noun string
	// Folder says that a graph is a folder. Otherwise it is a file.
	Folder bool
	// Files are how graphs are recognized outside of bundles: a folder by one of these files, the first
	// of which is the one to read; a file by one of these extensions. Required.
	Files []string
	// Tags says that a bundle chooses among the graphs of a folder by tags.
	Tags bool
	// Platform is the format's name in the metadata of the Open Inference Protocol; TritonPlatform
	// and TritonBackend are those in Triton's model configuration. Required.
	Platform, TritonPlatform, TritonBackend string
}

// Library is what an engine runs graphs with: a shared library, or a Go package.
type Library struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// Graph is what an engine opens: the bytes of a file whose digest was checked, and its
// path, for engines and graphs that consist of more than one file.
type Graph struct {
	Data []byte // the file's content; nil for a folder
	Path string // the file or folder; for Data, only error messages use it

	// The rest is for SavedModels, and optional where the model leaves no choice.

	// Tags are those of the graph to open, of which a SavedModel may have several.
	Tags []string
	// Signature names the graph's inputs and outputs; Inputs and Outputs choose some of them, or name
	// operations instead, as in "input_1" or "softmax:0".
	Signature       string
	Inputs, Outputs []string
	// Signatures are others of the same graph to open with it, for a [Signed] session.
	Signatures []GraphSignature
}

// GraphSignature is a signature of a SavedModel, with the inputs and outputs to use.
type GraphSignature struct {
	Name            string
	Inputs, Outputs []string
}

// SessionOptions tune one session. The zero value is useful.
type SessionOptions struct {
	// Threads that one run may use. 0 means as many as the process may run at once, which
	// in a container is its CPU limit.
	Threads int
	// RunTimeout is how long one run may take, for engines that can end one by force. It ends the
	// session with it: see [Mortal]. Optional: none is ended so.
	RunTimeout time.Duration
	// MaxOutputBytes is what the outputs of one run may take together, for engines whose answers come
	// from elsewhere. Optional: they may be as large as they come.
	MaxOutputBytes int64
}

// Session is an opened graph. Run may be called from many goroutines at once.
type Session interface {
	// Inputs and Outputs describe the graph's inputs and outputs, by graph names; -1 is a free dimension.
	Inputs() []tensor.Spec
	Outputs() []tensor.Spec
	// Run computes the named outputs. The inputs stay the caller's and are only read, during
	// the call; the outputs are the caller's too, and share no memory with the session or the
	// inputs. When ctx ends first, the run is given up and the error wraps ctx.Err(). Values that
	// the engine cannot take are the caller's fault: the error wraps [ErrInput].
	Run(ctx context.Context, inputs tensor.Map, outputs []string) (tensor.Map, error)
	// Close frees the graph, after the runs under way. Closing twice does nothing.
	Close() error
}

// Signed is a [Session] that was opened with several signatures.
type Signed interface {
	Session
	// Signed returns a session of one of [Graph.Signatures], nil for another name. It shares the graph,
	// which Close of the session that it comes from frees; its own Close does nothing.
	Signed(name string) Session
}

// Mortal is a [Session] whose engine is a process of its own, which may end. Runs fail with
// [ErrUnavailable] then. A model opens its graphs again.
type Mortal interface {
	Session
	// Gone is closed when the engine has ended; Err says why then.
	Gone() <-chan struct{}
	Err() error
}

// Sizer is a [Session] that knows more of the shapes of its outputs than their specs say: where two
// dimensions are free, which are the same.
type Sizer interface {
	// OutputShape is the shape that an output has for these inputs, with -1 for sizes that are not
	// known before the run; nil where nothing is known.
	OutputShape(name string, inputs tensor.Map) []int64
}

// Errors that those of engines and sessions wrap.
var (
	// ErrInput means that what the caller sent is at fault.
	ErrInput = errors.New("bad input")
	// ErrUnavailable means that the engine has ended, or has no memory left. The same call may succeed later.
	ErrUnavailable = errors.New("the model's engine is not available")
	// ErrUnsupported means that the engine lacks something that the graph needs.
	ErrUnsupported = errors.New("the engine cannot run this graph")
)
