//go:build cgo

package onnx

// Tensors as ONNX Runtime's values.

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/tensor"
)

func destroy(values []ort.Value) {
	for _, v := range values {
		// Where it cannot take a result the binding leaves a nil with a type.
		if v != nil && !reflect.ValueOf(v).IsNil() {
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

// fromValue takes a result's data, which the binding has put into Go's memory.
func fromValue(v ort.Value) (tensor.Tensor, error) {
	shape := []int64(slices.Clone(v.GetShape()))
	switch t := v.(type) {
	case *ort.Tensor[bool]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[bool]:
		return tensor.New([]bool{t.GetData()})
	case *ort.Tensor[int8]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[int8]:
		return tensor.New([]int8{t.GetData()})
	case *ort.Tensor[int16]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[int16]:
		return tensor.New([]int16{t.GetData()})
	case *ort.Tensor[int32]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[int32]:
		return tensor.New([]int32{t.GetData()})
	case *ort.Tensor[int64]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[int64]:
		return tensor.New([]int64{t.GetData()})
	case *ort.Tensor[uint8]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[uint8]:
		return tensor.New([]uint8{t.GetData()})
	case *ort.Tensor[uint16]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[uint16]:
		return tensor.New([]uint16{t.GetData()})
	case *ort.Tensor[uint32]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[uint32]:
		return tensor.New([]uint32{t.GetData()})
	case *ort.Tensor[uint64]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[uint64]:
		return tensor.New([]uint64{t.GetData()})
	case *ort.Tensor[float32]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[float32]:
		return tensor.New([]float32{t.GetData()})
	case *ort.Tensor[float64]:
		return tensor.New(t.GetData(), shape...)
	case *ort.Scalar[float64]:
		return tensor.New([]float64{t.GetData()})
	case *ort.StringTensor:
		data, err := t.GetContents()
		if err != nil {
			return tensor.Tensor{}, err
		}
		return tensor.New(data, shape...)
	}
	return tensor.Tensor{}, fmt.Errorf("results of type %T are not supported", v)
}
