package predict

import (
	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// Names that users of this package need from the packages below it.
type (
	// Tensor is a dense array; see [tensor.Tensor].
	Tensor = tensor.Tensor
	// Tensors names the inputs or the outputs of one run.
	Tensors = tensor.Map
	// Engine opens graphs; see [engines.Engine]. The packages onnx, pure, tensorflow and isolated provide engines.
	Engine = engines.Engine
	// Graph is what an engine opens; see [engines.Graph].
	Graph = engines.Graph
	// SessionOptions tune one opened graph; see [engines.SessionOptions].
	SessionOptions = engines.SessionOptions
)

type (
	// Budget bounds the memory of all requests of several models together, from reading to answering. It
	// is safe for concurrent use. A nil Budget is no bound.
	Budget = admission.Budget
	// BusyError means that the model has no room for a request now. RetryAfter is how long the requests
	// that already wait will take, or 0 if that is unknown. Reason says what is full.
	BusyError = admission.BusyError
)

// NewBudget returns a budget of the given number of bytes.
func NewBudget(bytes int64) *Budget { return admission.NewBudget(bytes) }

var (
	// ErrInput is wrapped by errors in what the caller sent, such as a broken picture or a tensor of the
	// wrong shape.
	ErrInput = engines.ErrInput
	// ErrUnavailable is wrapped by the error of a run whose engine has ended or is out of memory. The same
	// call may succeed later.
	ErrUnavailable = engines.ErrUnavailable
	// ErrBusy matches every [*BusyError] in errors.Is.
	ErrBusy = admission.ErrBusy
	// ErrClosed is wrapped by the errors of calls after Close.
	ErrClosed = admission.ErrClosed
)
