package pure

import (
	"fmt"
	"math"
	"strconv"

	"github.com/forgo-ml/forgo/predict/internal/onnxformat"
	"github.com/forgo-ml/forgo/predict/tensor"
)

var cast = operator{since: 6, inputs: [2]int{1, 1}, outputs: 1, keeps: castType, prepare: func(n *node) (kernel, error) {
	s := n.settings()
	to := onnxformat.DTypes[uint64(s.integer("to", 0))]
	s.ignore("saturate", "round_mode") // for 8-bit floats only
	if to == "" {
		return nil, fmt.Errorf("its type %d is not supported", s.integer("to", 0))
	}
	return func(in, out []*value) error { return castTo(out[0], in[0], to) }, s.end()
}}

func castType(n *node) tensor.DType {
	return onnxformat.DTypes[uint64(n.settings().integer("to", 0))]
}

// castTo converts elements. To integers, it truncates as C does; to bool, any value but 0 is true.
func castTo(out, in *value, to tensor.DType) error {
	if in.dtype() == to {
		return out.copy(in, in.shape)
	}
	if err := out.memory.fits(int64(in.count()), widened[in.kind()]); err != nil {
		return err
	}
	switch x := in.data.(type) {
	case *[]float32:
		return castFrom(out, in, *x, to)
	case *[]float64:
		return castFrom(out, in, *x, to)
	case *[]int8:
		return castFrom(out, in, *x, to)
	case *[]int16:
		return castFrom(out, in, *x, to)
	case *[]int32:
		return castFrom(out, in, *x, to)
	case *[]int64:
		return castFrom(out, in, *x, to)
	case *[]uint8:
		return castFrom(out, in, *x, to)
	case *[]uint16:
		return castFrom(out, in, *x, to)
	case *[]uint32:
		return castFrom(out, in, *x, to)
	case *[]uint64:
		return castFrom(out, in, *x, to)
	case *[]bool:
		n := make([]uint8, len(*x))
		for i, v := range *x {
			if v {
				n[i] = 1
			}
		}
		return castFrom(out, in, n, to)
	case *[]tensor.Float16Bits:
		return castFrom(out, in, wideOf(*x), to)
	case *[]tensor.BFloat16Bits:
		return castFrom(out, in, wideOf(*x), to)
	case *[]string:
		return parseTo(out, in, *x, to)
	}
	return unsupported(in)
}

// widened is the memory of a conversion for each element, in bytes, apart from the result.
var widened = [kinds]int{kindBool: 1, kindFloat16: 8, kindBFloat16: 8, kindString: 16}

func castFrom[F number](out, in *value, x []F, to tensor.DType) error {
	switch to {
	case tensor.Float32:
		return convert[F, float32](out, in, x)
	case tensor.Float64:
		return convert[F, float64](out, in, x)
	case tensor.Int8:
		return convert[F, int8](out, in, x)
	case tensor.Int16:
		return convert[F, int16](out, in, x)
	case tensor.Int32:
		return convert[F, int32](out, in, x)
	case tensor.Int64:
		return convert[F, int64](out, in, x)
	case tensor.Uint8:
		return convert[F, uint8](out, in, x)
	case tensor.Uint16:
		return convert[F, uint16](out, in, x)
	case tensor.Uint32:
		return convert[F, uint32](out, in, x)
	case tensor.Uint64:
		return convert[F, uint64](out, in, x)
	case tensor.Bool:
		y, err := allocate[bool](out, in.shape...)
		if err != nil {
			return err
		}
		for i, v := range x {
			y[i] = v != 0
		}
		return nil
	case tensor.Float16:
		y, err := allocate[tensor.Float16Bits](out, in.shape...)
		if err != nil {
			return err
		}
		for i, v := range x {
			y[i] = tensor.ToFloat16(float64(v))
		}
		return nil
	case tensor.BFloat16:
		y, err := allocate[tensor.BFloat16Bits](out, in.shape...)
		if err != nil {
			return err
		}
		for i, v := range x {
			y[i] = tensor.ToBFloat16(float64(v))
		}
		return nil
	}
	return fmt.Errorf("from %s to %s is not supported", in.dtype(), to)
}

// wideOf converts 16-bit numbers to float64, exactly.
func wideOf[T interface{ Float64() float64 }](x []T) []float64 {
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = v.Float64()
	}
	return wide
}

func convert[F, T number](out, in *value, x []F) error {
	y, err := allocate[T](out, in.shape...)
	if err != nil {
		return err
	}
	for i, v := range x {
		y[i] = T(v)
	}
	return nil
}

// parseTo parses numbers in strings.
func parseTo(out, in *value, x []string, to tensor.DType) error {
	wide := make([]float64, len(x))
	whole := make([]int64, len(x))
	for i, text := range x {
		var err error
		switch to {
		case tensor.Int64, tensor.Int32:
			whole[i], err = strconv.ParseInt(text, 10, 64)
		default:
			wide[i], err = strconv.ParseFloat(text, 64)
		}
		if err != nil {
			return fmt.Errorf("%s is not %s", tensor.Quote(text), to)
		}
	}
	switch to {
	case tensor.Int64:
		return convert[int64, int64](out, in, whole)
	case tensor.Int32:
		for _, v := range whole {
			if v != int64(int32(v)) {
				return fmt.Errorf("%d does not fit %s", v, to)
			}
		}
		return convert[int64, int32](out, in, whole)
	case tensor.Float32:
		for i := range wide {
			wide[i] = float64(float32(wide[i]))
		}
		return convert[float64, float32](out, in, wide)
	case tensor.Float64:
		return convert[float64, float64](out, in, wide)
	}
	return fmt.Errorf("from %s to %s is not supported", in.dtype(), to)
}

// nan is the value of a missing number.
var nan = math.NaN()
