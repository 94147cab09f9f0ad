package predict

import (
	"errors"
	"fmt"

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
	// Session is an opened graph; see [engines.Session].
	Session = engines.Session
	// Library is what an engine runs graphs with; see [engines.Library].
	Library = engines.Library
	// GraphSignature is a signature of a SavedModel; see [engines.GraphSignature].
	GraphSignature = engines.GraphSignature
	// Signed is a session with several signatures; see [engines.Signed].
	Signed = engines.Signed
	// Mortal is a session whose engine may end; see [engines.Mortal].
	Mortal = engines.Mortal
	// Sizer is a session that knows the shapes of its outputs; see [engines.Sizer].
	Sizer = engines.Sizer
)

var (
	// ErrInput is wrapped by errors that are the fault of what the caller sent: a broken
	// picture, a tensor of the wrong shape.
	ErrInput = engines.ErrInput
	// ErrUnavailable is wrapped by the errors of runs whose engine has ended, or has no memory left. The
	// same call may succeed later.
	ErrUnavailable = engines.ErrUnavailable
)

// candidates are the engines that open a format, in the order in which they are tried.
func candidates(all []Engine, format string) ([]Engine, error) {
	var some []Engine
	var have []string
	for _, e := range all {
		if info := e.Info(); info.Format.Name == format {
			some = append(some, e)
		} else {
			have = append(have, info.Name)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("it needs the engine %s; this process has %v", format, have)
	}
	return some, nil
}

// firstOf opens a graph in the first of the engines that can run it.
func firstOf(some []Engine, open func(Engine) (Session, error)) (Session, engines.Info, error) {
	var errs []error
	for _, e := range some {
		s, err := open(e)
		if err == nil {
			return s, e.Info(), nil
		}
		if errs = append(errs, err); !errors.Is(err, engines.ErrUnsupported) {
			return nil, engines.Info{}, err
		}
	}
	return nil, engines.Info{}, errors.Join(errs...)
}
