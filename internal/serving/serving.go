// Package serving is what forgo's server needs of a model beyond the public face of package predict: places in
// its queue, timings, statistics, and the state of its engine.
package serving

import (
	"context"
	"fmt"
	"time"

	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Access is a model as the server sees it. It is safe for concurrent use.
type Access interface {
	// Reserve and Enter take a place in the model's queue; see [admission.Queue].
	Reserve(rows int, bytes int64) (admission.Reservation, error)
	Enter(bytes int64) (admission.Reservation, error)
	// RunTimed computes the outputs in a place, which it takes to the model's own queue first.
	RunTimed(ctx context.Context, place *admission.Reservation, inputs tensor.Map) (tensor.Map, Timing, error)
	// PreparePicture turns one encoded picture into the input that it becomes, with a batch of one, for a
	// model that takes pictures.
	PreparePicture(ctx context.Context, raw []byte) (tensor.Map, Timing, error)
	// PrepareTimed turns an encoded picture or a JSON row into the model's inputs, with a batch of one.
	PrepareTimed(ctx context.Context, raw []byte) (tensor.Map, Timing, error)
	// GoldenShapes are the shapes of the inputs in the first golden case, by name, with a batch of one: sizes
	// that are known to work where the model leaves them free. It is nil for a bundle without cases, and must
	// not be changed.
	GoldenShapes() map[string][]int64
	// Stats returns a snapshot. It costs a run nothing but a lock that is held briefly.
	Stats() Stats
	// Engine returns how the model's engine fares.
	Engine() EngineStatus
	// NotifyEngine has f called whenever the state of the engine has changed, from one goroutine at a time.
	// It must not call the model's Close.
	NotifyEngine(f func(EngineStatus))
	// Other returns another signature of the model; false for a name that the bundle has not.
	Other(name string) (Access, bool)
}

// Of returns a *predict.Model's Access. Package predict sets it.
var Of func(model any) Access

// Place is a request's place in the queue of one model, which is the one that runs it.
type Place struct {
	admission.Reservation
	runs Access
}

// Enter takes a place in a model's queue.
func Enter(m Access, bytes int64) (p Place, err error) {
	p.runs = m
	p.Reservation, err = m.Enter(bytes)
	return p, err
}

// Use has another signature of the model run the request, which it entered by its own; false for a name that
// the model has not.
func (p *Place) Use(signature string) bool {
	other, ok := p.runs.Other(signature)
	if ok {
		p.runs = other
	}
	return ok
}

// Run computes the outputs of the place's model.
func (p *Place) Run(ctx context.Context, inputs tensor.Map) (tensor.Map, Timing, error) {
	return p.runs.RunTimed(ctx, &p.Reservation, inputs)
}

// EngineStatus is how the engine of a model fares.
type EngineStatus struct {
	// Info describes it.
	Info engines.Info
	// Preprocess is the engine that prepares the model's pictures; "" where it takes none.
	Preprocess string
	// Passed are the engines of the process that could have run the graphs, and do not.
	Passed []PassedOver
	// Isolated says that it runs in a process of its own: see the package isolated.
	Isolated bool
	// Restarts is how often it was started again, golden cases replayed, since the model was loaded.
	Restarts int
	// Down is nil while it answers. Otherwise it says why it does not, and wraps predict.ErrUnavailable.
	Down error
}

// PassedOver says why an engine that a process has does not run a graph of a bundle.
type PassedOver struct {
	File   string // the graph, as in "model.onnx"
	Engine string
	// Err is a *predict.ParityError where the engine's answers differ from the training framework's, which
	// is a fault of the engine: another one is proven in its place.
	Err error
	// Different says that the engine answered, and not as the training framework did.
	Different bool
	// Notable says that somebody should know: the answers differ, or the engine is the one that the bundle
	// names and could not open the graph.
	Notable bool
}

// Warn reports whether somebody should know.
func (p PassedOver) Warn() bool { return p.Notable }

// Differs reports whether the engine answered, and not as the training framework did.
func (p PassedOver) Differs() bool { return p.Different }

func (p PassedOver) String() string {
	return fmt.Sprintf("%s does not run %s: %v", p.Engine, p.File, p.Err)
}

// Timing says where a call's time went.
type Timing struct {
	Decode     time.Duration // raw bytes to pixels, or a JSON row to tensors
	Preprocess time.Duration // pixels to the model's input
	Queue      time.Duration // waiting for the engine
	Infer      time.Duration // the engine's run
	BatchRows  int           // of that run: the call's own and those that ran with them; 0 where there was none
}
