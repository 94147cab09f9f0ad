// Package serving defines what forgo's server needs of a model beyond the public methods of package
// predict: reservations in its queue, timings, statistics, and the state of its engine.
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
	// RunTimed computes the outputs in a reservation, which it first moves to the model's queue.
	RunTimed(ctx context.Context, reservation *admission.Reservation, inputs tensor.Map) (tensor.Map, Timing, error)
	// PreparePicture converts one encoded picture to the input that takes it, with a batch of one. The
	// model must take pictures.
	PreparePicture(ctx context.Context, raw []byte) (tensor.Map, Timing, error)
	// PrepareTimed converts an encoded picture or a JSON row to the model's inputs, with a batch of one.
	PrepareTimed(ctx context.Context, raw []byte) (tensor.Map, Timing, error)
	// GoldenShapes returns the shapes of the inputs of the first golden case, by name and with a batch of
	// one. Their sizes are known to work in free dimensions. It returns nil for a bundle without cases.
	// The caller must not change the map.
	GoldenShapes() map[string][]int64
	// Stats returns a snapshot. It holds up runs only while it briefly holds a lock.
	Stats() Stats
	// Engine returns the state of the model's engine.
	Engine() EngineStatus
	// NotifyEngine sets f, which is called after each change of the engine's state, never concurrently. f
	// must not close the model.
	NotifyEngine(f func(EngineStatus))
	// Other returns another signature of the model, or false if the bundle has no such signature.
	Other(name string) (Access, bool)
}

// Of returns the Access of a *predict.Model. Package predict sets it.
var Of func(model any) Access

// Place is a request's place in the queue of the model that runs it.
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

// Use makes another signature of the model run the request. It returns false if the model has no such
// signature.
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

// EngineStatus is the state of a model's engine.
type EngineStatus struct {
	// Info describes the engine.
	Info engines.Info
	// Preprocess names the engine that prepares the model's pictures, or is "" if the model takes none.
	Preprocess string
	// Passed lists the engines that could have run the graphs but were not chosen.
	Passed []PassedOver
	// Isolated says that the engine runs in a separate process: see the package isolated.
	Isolated bool
	// Restarts counts the restarts of the engine, each with a replay, since the model was loaded.
	Restarts int
	// Down is nil while the engine answers. Otherwise it says why not, and wraps predict.ErrUnavailable.
	Down error
}

// PassedOver says why an engine does not run a bundle's graph.
type PassedOver struct {
	File   string // the graph, as in "model.onnx"
	Engine string
	// Err is a *predict.ParityError if the engine's answers differ from the training framework's. That is
	// a fault of the engine, and another engine is proven in its place.
	Err error
	// Different says that the engine's answers differ from the training framework's.
	Different bool
	// Notable says that operators should know: the answers differ, or the bundle names the engine and it
	// could not open the graph.
	Notable bool
}

// Warn reports whether operators should know.
func (p PassedOver) Warn() bool { return p.Notable }

// Differs reports whether the engine's answers differ from the training framework's.
func (p PassedOver) Differs() bool { return p.Different }

func (p PassedOver) String() string {
	return fmt.Sprintf("%s does not run %s: %v", p.Engine, p.File, p.Err)
}

// Timing says how a call's time was spent.
type Timing struct {
	Began, Ended time.Time     // of the wait for the engine, and of the engine's run; zero if there was no run
	Decode       time.Duration // raw bytes to pixels, or a JSON row to tensors
	Preprocess   time.Duration // pixels to the model's input
	Queue        time.Duration // waiting for the engine
	Infer        time.Duration // the engine's run
	BatchRows    int           // of that run: the call's own and others'; 0 if there was no run
}
