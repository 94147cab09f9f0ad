// Package isolated runs engines in processes of their own.
//
//	func main() {
//		isolated.Main(onnx.Engine()) // first, before anything else
//		...
//		m, err := predict.Load(ctx, "digits.forgo", isolated.Engine(onnx.Engine(), isolated.Options{}))
//	}
//
// Each graph gets a child process that runs this program again. The child loads the engine's library, drops the
// privileges that it does not need, and only then opens the graph. It has no network, only the environment variables
// that engines read, no file but its graph, and a memory limit (see [Options]). It ends with its parent. The parent
// checks what the child sends before it allocates memory for it.
//
// When the child dies, runs fail with [predict.ErrUnavailable]; a [predict.Model] opens its graphs
// again, replays its golden cases, and goes on answering. A run that goes on after
// [predict.SessionOptions.RunTimeout] ends the child.
package isolated

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/engines"
)

// Options configure the sandbox. The zero value is useful.
type Options struct {
	// Memory bounds the memory of the graph and its runs, in bytes, apart from what the engine's library
	// takes. It counts private writable memory, resident or not. Optional: 4 GiB.
	Memory int64
	// Available allows graphs to be opened on a kernel that lacks a part of the sandbox. Optional: opening
	// fails there with [ErrUnconfined].
	Available bool
}

// DefaultMemory is the limit if Options.Memory is 0.
const DefaultMemory = 4 << 30

// ErrUnconfined is wrapped by errors on systems that lack a part of the sandbox.
var ErrUnconfined = errors.New("this system cannot confine an engine's process")

// Sandbox describes what confines a child.
type Sandbox struct {
	// Landlock is the version of the kernel's Landlock, which blocks access to files, or 0 for none.
	Landlock int `json:"landlock"`
	// Seccomp says that the child may make only the system calls in a list, without sockets or programs.
	Seccomp bool `json:"seccomp"`
}

// Err returns nil if the sandbox is complete. Otherwise it says what is missing, and wraps
// [ErrUnconfined].
func (s Sandbox) Err() error {
	switch {
	case s.Landlock == 0 && !s.Seccomp:
		return fmt.Errorf("%w: its kernel offers neither Landlock nor seccomp", ErrUnconfined)
	case s.Landlock == 0:
		return fmt.Errorf("%w: its kernel offers no Landlock (Linux 5.13 and later do, unless it is off), so a graph could read files", ErrUnconfined)
	case !s.Seccomp:
		return fmt.Errorf("%w: its kernel offers no seccomp, so a graph could open connections", ErrUnconfined)
	}
	return nil
}

// Engine returns an engine that runs each graph as inner does, in a process of its own. The program must
// call [Main] with an engine of the same name, which runs in the child.
func Engine(inner predict.Engine, o Options) predict.Engine {
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	info := inner.Info()
	info.BuiltIn = false // its process costs more
	return engine{info, o}
}

type engine struct {
	info    engines.Info
	options Options
}

func (e engine) Info() engines.Info { return e.info }

// Library asks a child that ends at once.
func (e engine) Library() (engines.Library, error) {
	c, opened, err := start(context.Background(), e.opening(), nil)
	if err != nil {
		return engines.Library{}, err
	}
	c.kill(errClosed)
	return opened.Library, nil
}

func (e engine) Open(ctx context.Context, g predict.Graph, o predict.SessionOptions) (engines.Session, error) {
	s, err := e.open(ctx, g, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

const (
	// envChild marks a child. Its value is the child's purpose and not secret.
	envChild = "FORGO_ISOLATED_ENGINE"
	socketFD = 3
)

var mainCalled atomic.Bool

// Main must be the first call in a program's main function. engines are those that may run in children. In
// the program itself, Main returns at once. In a child, it runs an engine and does not return.
func Main(engines ...predict.Engine) {
	mainCalled.Store(true)
	if os.Getenv(envChild) == "" {
		return
	}
	os.Exit(serve(engines))
}

// ready returns an error if a child would run the program itself instead of an engine.
func ready() error {
	switch {
	case os.Getenv(envChild) != "":
		return errors.New("start an engine's process: this process is one: call isolated.Main first in main")
	case !mainCalled.Load():
		return errors.New("start an engine's process: call isolated.Main first in main")
	}
	return nil
}
