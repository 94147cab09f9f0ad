package onnx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
)

type session struct {
	inputs, outputs []tensor.Spec

	// closing waits for runs: each holds the lock for reading.
	closing sync.RWMutex
	ort     *ort.DynamicAdvancedSession // nil once closed
}

func (s *session) Inputs() []tensor.Spec  { return slices.Clone(s.inputs) }
func (s *session) Outputs() []tensor.Spec { return slices.Clone(s.outputs) }

func (s *session) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.ort == nil {
		return nil
	}
	err := s.ort.Destroy()
	s.ort = nil
	return err
}

func (s *session) Run(ctx context.Context, inputs predict.Tensors, outputs []string) (predict.Tensors, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	if err := s.check(inputs, outputs); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.ort == nil {
		return nil, errors.New("run ONNX graph: the session is closed")
	}

	in := make([]ort.Value, len(s.inputs))
	defer destroy(in)
	for i, spec := range s.inputs {
		v, err := toValue(inputs[spec.Name])
		if err != nil {
			return nil, fmt.Errorf("run ONNX graph: input %q: %w", spec.Name, err)
		}
		in[i] = v
	}
	out, err := s.results(inputs)
	defer destroy(out)
	if err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	if err := s.run(ctx, in, out); err != nil {
		return nil, fmt.Errorf("run ONNX graph: %w", err)
	}
	runtime.KeepAlive(inputs) // ONNX Runtime read the callers' memory in place

	result := predict.Tensors{}
	for i, spec := range s.outputs {
		if !slices.Contains(outputs, spec.Name) {
			continue
		}
		t, err := fromValue(out[i])
		if err != nil {
			return nil, fmt.Errorf("run ONNX graph: output %q: %w", spec.Name, err)
		}
		result[spec.Name] = t
	}
	return result, nil
}

func (s *session) check(inputs predict.Tensors, outputs []string) error {
	for _, spec := range s.inputs {
		t, ok := inputs[spec.Name]
		if !ok {
			return fmt.Errorf("input %q is missing", spec.Name)
		}
		if err := spec.Match(t); err != nil {
			return err
		}
	}
	if len(inputs) > len(s.inputs) {
		return fmt.Errorf("%d inputs given, the graph has %d", len(inputs), len(s.inputs))
	}
	for _, name := range outputs {
		if !slices.ContainsFunc(s.outputs, func(o tensor.Spec) bool { return o.Name == name }) {
			return fmt.Errorf("the graph has no output %q", name)
		}
	}
	return nil
}

// run lets the end of ctx stop ONNX Runtime between two operations.
func (s *session) run(ctx context.Context, in, out []ort.Value) error {
	if ctx.Done() == nil {
		return s.ort.Run(in, out)
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	defer func() { _ = options.Destroy() }()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = options.Terminate()
	})
	err = s.ort.RunWithOptions(in, out, options)
	if !stop() {
		<-ended // options may be freed only after Terminate has returned
		if err != nil {
			return ctx.Err()
		}
	}
	return err
}

// results holds a place for each output. ONNX Runtime allocates those left nil; the binding
// cannot read such 16-bit floats back, so their place is made here, where the shape is known.
func (s *session) results(inputs predict.Tensors) ([]ort.Value, error) {
	out := make([]ort.Value, len(s.outputs))
	for i, spec := range s.outputs {
		if spec.DType != tensor.Float16 && spec.DType != tensor.BFloat16 {
			continue
		}
		shape := slices.Clone(spec.Shape)
		if len(shape) > 0 && shape[0] < 0 && len(s.inputs) > 0 {
			shape[0] = int64(inputs[s.inputs[0].Name].Rows())
		}
		n, err := tensor.Count(shape)
		if err != nil || shape == nil {
			return out, fmt.Errorf("output %q is %s with free dimensions %v, which is not supported", spec.Name, spec.DType, spec.Shape)
		}
		if out[i], err = ort.NewCustomDataTensor(ort.Shape(shape), make([]byte, 2*n), halfTypes[spec.DType]); err != nil {
			return out, err
		}
	}
	return out, nil
}

var halfTypes = map[tensor.DType]ort.TensorElementDataType{
	tensor.Float16:  ort.TensorElementDataTypeFloat16,
	tensor.BFloat16: ort.TensorElementDataTypeBFloat16,
}

func destroy(values []ort.Value) {
	for _, v := range values {
		if v != nil {
			_ = v.Destroy()
		}
	}
}

func toValue(t tensor.Tensor) (ort.Value, error) {
	switch data := t.Data.(type) {
	case []bool:
		return value(t.Shape, data)
	case []int8:
		return value(t.Shape, data)
	case []int16:
		return value(t.Shape, data)
	case []int32:
		return value(t.Shape, data)
	case []int64:
		return value(t.Shape, data)
	case []uint8:
		return value(t.Shape, data)
	case []uint16:
		return value(t.Shape, data)
	case []uint32:
		return value(t.Shape, data)
	case []uint64:
		return value(t.Shape, data)
	case []float32:
		return value(t.Shape, data)
	case []float64:
		return value(t.Shape, data)
	case []tensor.Half:
		return raw(t.Shape, data, ort.TensorElementDataTypeFloat16)
	case []tensor.Brain:
		return raw(t.Shape, data, ort.TensorElementDataTypeBFloat16)
	case []string:
		for _, text := range data {
			if strings.ContainsRune(text, 0) { // the binding passes C strings, which would end there
				return nil, fmt.Errorf("%w: ONNX Runtime takes no string with a zero byte", predict.ErrInput)
			}
		}
		v, err := ort.NewStringTensor(ort.Shape(t.Shape))
		if err != nil {
			return nil, err
		}
		return v, v.SetContents(data)
	}
	return nil, fmt.Errorf("type %T is not supported", t.Data)
}

func value[T ort.TensorData](shape []int64, data []T) (ort.Value, error) {
	if len(shape) == 0 {
		return ort.NewScalar(data[0])
	}
	return ort.NewTensor(ort.Shape(shape), data)
}

func raw[T tensor.Half | tensor.Brain](shape []int64, data []T, kind ort.TensorElementDataType) (ort.Value, error) {
	buf := make([]byte, 0, 2*len(data))
	for _, x := range data {
		buf = binary.NativeEndian.AppendUint16(buf, uint16(x))
	}
	return ort.NewCustomDataTensor(ort.Shape(shape), buf, kind)
}

// fromValue takes a result's data, which the binding has put into Go's memory.
func fromValue(v ort.Value) (tensor.Tensor, error) {
	shape := []int64(slices.Clone(v.GetShape()))
	switch t := v.(type) {
	case *ort.Tensor[bool]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[int8]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[int16]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[int32]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[int64]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[uint8]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[uint16]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[uint32]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[uint64]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[float32]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Tensor[float64]:
		return tensor.New(t.GetData(), shape...)
	case *ort.StringTensor:
		data, err := t.GetContents()
		if err != nil {
			return tensor.Tensor{}, err
		}
		return tensor.New(data, shape...)
	case *ort.CustomDataTensor:
		switch ort.TensorElementDataType(t.DataType()) {
		case ort.TensorElementDataTypeFloat16:
			return halves[tensor.Half](t.GetData(), shape)
		case ort.TensorElementDataTypeBFloat16:
			return halves[tensor.Brain](t.GetData(), shape)
		}
	}
	return tensor.Tensor{}, fmt.Errorf("results of type %T are not supported", v)
}

func halves[T tensor.Half | tensor.Brain](data []byte, shape []int64) (tensor.Tensor, error) {
	out := make([]T, len(data)/2)
	for i := range out {
		out[i] = T(binary.NativeEndian.Uint16(data[2*i:]))
	}
	return tensor.New(out, shape...)
}
