package predict

import (
	"github.com/forgo-ml/forgo/internal/admission"
	"github.com/forgo-ml/forgo/predict/engines"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// The names that users of this package need of the packages below it.
type (
	// Tensor is a dense array; see [tensor.Tensor].
	Tensor = tensor.Tensor
	// Tensors names the inputs or the outputs of one run.
	Tensors = tensor.Map
	// Engine opens graphs; see [engines.Engine]. The packages onnx, tensorflow and isolated have some.
	Engine = engines.Engine
	// Graph is what an engine opens; see [engines.Graph].
	Graph = engines.Graph
	// SessionOptions tune one opened graph; see [engines.SessionOptions].
	SessionOptions = engines.SessionOptions
)

type (
	// Budget bounds the memory that the requests of several models take together: what is read, parsed,
	// decoded and answered. It is safe for concurrent use; a nil one bounds nothing.
	Budget = admission.Budget
	// BusyError refuses a request that the model has no room for now. Its RetryAfter is how long those who
	// wait now will take to be answered, 0 where that is not known; its Reason says what is full.
	BusyError = admission.BusyError
)

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return admission.NewBudget(bytes) }

var (
	// ErrInput is wrapped by errors that are the fault of what the caller sent: a broken
	// picture, a tensor of the wrong shape.
	ErrInput = engines.ErrInput
	// ErrUnavailable is wrapped by the errors of runs whose engine has ended, or has no memory left. The
	// same call may succeed later.
	ErrUnavailable = engines.ErrUnavailable
	// ErrBusy is what a [*BusyError] is.
	ErrBusy = admission.ErrBusy
	// ErrClosed is wrapped by the errors of calls that came after Close.
	ErrClosed = admission.ErrClosed
)
