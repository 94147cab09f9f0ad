package predict

// What the module's server needs of a model beyond the public methods.

import (
	"context"

	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/internal/serving"
)

func init() {
	serving.Of = func(model any) serving.Access { return (*access)(model.(*Model)) }
}

// access is a model with the methods of serving.Access.
type access Model

func (a *access) model() *Model { return (*Model)(a) }

func (a *access) Reserve(rows int, bytes int64) (admission.Reservation, error) {
	return a.batcher.Reserve(rows, bytes)
}

func (a *access) Enter(bytes int64) (admission.Reservation, error) { return a.batcher.Enter(bytes) }

func (a *access) RunTimed(ctx context.Context, reservation *admission.Reservation, inputs Tensors) (Tensors, serving.Timing, error) {
	return a.model().run(ctx, reservation, inputs)
}

func (a *access) PreparePicture(ctx context.Context, raw []byte) (Tensors, serving.Timing, error) {
	return a.model().preparePicture(ctx, raw)
}

func (a *access) PrepareTimed(ctx context.Context, raw []byte) (Tensors, serving.Timing, error) {
	return a.model().prepare(ctx, raw)
}

func (a *access) GoldenShapes() map[string][]int64 { return a.goldenShapes }

// Stats includes the other signatures, which have queues of their own.
func (a *access) Stats() serving.Stats {
	s := a.batcher.Stats()
	for _, signed := range a.signed {
		s.Add(signed.batcher.Stats())
	}
	return s
}

func (a *access) Engine() serving.EngineStatus {
	if a == nil {
		return serving.EngineStatus{}
	}
	a.attendant.mu.Lock()
	status := a.attendant.status
	a.attendant.mu.Unlock()
	status.Info = a.graphs.Load().engine
	return status
}

func (a *access) NotifyEngine(f func(serving.EngineStatus)) {
	if a == nil {
		return // its requests fail, one by one
	}
	a.attendant.mu.Lock()
	defer a.attendant.mu.Unlock()
	a.attendant.tell = f
}

func (a *access) Other(name string) (serving.Access, bool) {
	m, ok := a.model().Signature(name)
	return (*access)(m), ok
}
