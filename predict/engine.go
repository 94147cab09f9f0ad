package predict

import (
	"context"
	"errors"
	"time"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// The names that users of this package need of the packages below it.
type (
	// Tensor is a dense array; see [tensor.Tensor].
	Tensor = tensor.Tensor
	// Tensors names the inputs or the outputs of one run.
	Tensors = tensor.Map
)

// Engine opens graphs. An engine is a value that may be copied and used from many
// goroutines; its library is found and loaded when a graph is first opened.
type Engine interface {
	// Name is what a manifest's engine key says: "onnxruntime" or "tensorflow".
	Name() string
	// Library reports the loaded library's path and version, loading it if need be.
	Library() (Library, error)
	// Open prepares a graph for running. The graph's bytes may be discarded afterwards.
	Open(ctx context.Context, g Graph, o SessionOptions) (Session, error)
}

// Library is the shared library behind an engine.
type Library struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// Graph is what an engine opens: the bytes of a file whose digest was checked, and its
// place, for engines and graphs that consist of more than one file.
type Graph struct {
	Data []byte // the file's content; nil for a folder
	Path string // the file or folder; for Data, only error messages use it

	// The rest is for SavedModels, and optional where the model leaves no choice.

	// Tags are those of the graph to open, of which a SavedModel may have several.
	Tags []string
	// Signature names the graph's ends; Inputs and Outputs choose some of them, or name
	// operations instead, as in "input_1" or "softmax:0".
	Signature       string
	Inputs, Outputs []string
	// Signatures are others of the same graph that are to be opened with it, for a [Signed] session.
	Signatures []GraphSignature
}

// GraphSignature is a signature of a SavedModel, with those of its inputs and outputs that are meant.
type GraphSignature struct {
	Name            string
	Inputs, Outputs []string
}

// Signed is a [Session] that was opened with several signatures.
type Signed interface {
	Session
	// Signed returns a session of one of [Graph.Signatures], nil for another name. It shares the graph,
	// which Close of the session that it comes from frees; its own Close does nothing.
	Signed(name string) Session
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

// Mortal is a Session whose engine is a process of its own, which may end. Runs fail with
// [ErrUnavailable] then. A [Model] opens its graphs again.
type Mortal interface {
	Session
	// Gone is closed when the engine has ended; Err says why then.
	Gone() <-chan struct{}
	Err() error
}

// ErrUnavailable is wrapped by the errors of runs whose engine has ended, or has no memory left. The
// same call may succeed later.
var ErrUnavailable = errors.New("the model's engine is not available")

// Session is an opened graph. Run may be called from many goroutines at once.
type Session interface {
	// Inputs and Outputs describe the graph's ends, by graph names; -1 is a free dimension.
	Inputs() []tensor.Spec
	Outputs() []tensor.Spec
	// Run computes the named outputs. The inputs stay the caller's and are only read, during
	// the call; the outputs are the caller's too, and share no memory with the session or the
	// inputs. When ctx ends first, the run is given up and the error wraps ctx.Err(). Values that
	// the engine cannot take are the caller's fault: the error wraps [ErrInput].
	Run(ctx context.Context, inputs Tensors, outputs []string) (Tensors, error)
	// Close frees the graph, after the runs under way. Closing twice does nothing.
	Close() error
}
