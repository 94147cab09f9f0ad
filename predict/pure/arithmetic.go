package pure

// Add, Sub, Mul, Div, and operators of several inputs: Sum, Max, Min, Mean; Pow.

import (
	"errors"
	"math"
	"slices"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// table holds an operator of two inputs of the same type, for each type.
type table [kinds]func(out, a, b *value) error

// over makes the kernel for one type of the loops over its elements.
func over[T, R tensor.Element](f *runs[T, R]) func(out, a, b *value) error {
	return func(out, a, b *value) error {
		x, _ := of[T](a)
		y, ok := of[T](b)
		if !ok {
			return errTypes
		}
		return combine(out, a, b, x, y, f)
	}
}

// tableOf makes a table for numbers.
func tableOf[R8, R16, R32, R64, U8, U16, U32, U64, F32, F64 tensor.Element](
	i8 *runs[int8, R8], i16 *runs[int16, R16], i32 *runs[int32, R32], i64 *runs[int64, R64],
	u8 *runs[uint8, U8], u16 *runs[uint16, U16], u32 *runs[uint32, U32], u64 *runs[uint64, U64],
	f32 *runs[float32, F32], f64 *runs[float64, F64],
) *table {
	return &table{
		kindInt8: over(i8), kindInt16: over(i16), kindInt32: over(i32), kindInt64: over(i64),
		kindUint8: over(u8), kindUint16: over(u16), kindUint32: over(u32), kindUint64: over(u64),
		kindFloat32: over(f32), kindFloat64: over(f64),
	}
}

// apply computes an operator of two inputs of one type.
func (t *table) apply(out, a, b *value) error {
	f := t[a.kind()]
	if f == nil {
		return unsupported(a)
	}
	return f(out, a, b)
}

func addTo[T number]() *runs[T, T] {
	return &runs[T, T]{
		both: func(z, x, y []T) {
			x, y = x[:len(z)], y[:len(z)]
			for i := range z {
				z[i] = x[i] + y[i]
			}
		},
		right: func(z, x []T, y T) {
			x = x[:len(z)]
			for i := range z {
				z[i] = x[i] + y
			}
		},
		left: func(z []T, x T, y []T) {
			y = y[:len(z)]
			for i := range z {
				z[i] = x + y[i]
			}
		},
	}
}

func mulTo[T number]() *runs[T, T] {
	return &runs[T, T]{
		both: func(z, x, y []T) {
			x, y = x[:len(z)], y[:len(z)]
			for i := range z {
				z[i] = x[i] * y[i]
			}
		},
		right: func(z, x []T, y T) {
			x = x[:len(z)]
			for i := range z {
				z[i] = x[i] * y
			}
		},
		left: func(z []T, x T, y []T) {
			y = y[:len(z)]
			for i := range z {
				z[i] = x * y[i]
			}
		},
	}
}

func sub[T number](x, y T) T { return x - y }

func divided[T number](x, y T) T { return x / y }

func larger[T float](x, y T) T {
	if x != x || y != y {
		return T(math.NaN())
	}
	return max(x, y)
}

func smaller[T float](x, y T) T {
	if x != x || y != y {
		return T(math.NaN())
	}
	return min(x, y)
}

func largerOf[T number](x, y T) T  { return max(x, y) }
func smallerOf[T number](x, y T) T { return min(x, y) }

var (
	addLoops = tableOf(addTo[int8](), addTo[int16](), addTo[int32](), addTo[int64](), addTo[uint8](), addTo[uint16](), addTo[uint32](), addTo[uint64](), addTo[float32](), addTo[float64]())
	mulLoops = tableOf(mulTo[int8](), mulTo[int16](), mulTo[int32](), mulTo[int64](), mulTo[uint8](), mulTo[uint16](), mulTo[uint32](), mulTo[uint64](), mulTo[float32](), mulTo[float64]())
	subLoops = tableOf(runsOf(sub[int8]), runsOf(sub[int16]), runsOf(sub[int32]), runsOf(sub[int64]), runsOf(sub[uint8]), runsOf(sub[uint16]), runsOf(sub[uint32]), runsOf(sub[uint64]), runsOf(sub[float32]), runsOf(sub[float64]))
	maxLoops = tableOf(runsOf(largerOf[int8]), runsOf(largerOf[int16]), runsOf(largerOf[int32]), runsOf(largerOf[int64]), runsOf(largerOf[uint8]), runsOf(largerOf[uint16]), runsOf(largerOf[uint32]), runsOf(largerOf[uint64]), runsOf(larger[float32]), runsOf(larger[float64]))
	minLoops = tableOf(runsOf(smallerOf[int8]), runsOf(smallerOf[int16]), runsOf(smallerOf[int32]), runsOf(smallerOf[int64]), runsOf(smallerOf[uint8]), runsOf(smallerOf[uint16]), runsOf(smallerOf[uint32]), runsOf(smallerOf[uint64]), runsOf(smaller[float32]), runsOf(smaller[float64]))
	powLoops = tableOf(runsOf(powered[int8]), runsOf(powered[int16]), runsOf(powered[int32]), runsOf(powered[int64]), runsOf(powered[uint8]), runsOf(powered[uint16]), runsOf(powered[uint32]), runsOf(powered[uint64]), runsOf(powered[float32]), runsOf(powered[float64]))
	divLoops = &table{
		kindInt8: dividedBy[int8], kindInt16: dividedBy[int16], kindInt32: dividedBy[int32], kindInt64: dividedBy[int64],
		kindUint8: dividedBy[uint8], kindUint16: dividedBy[uint16], kindUint32: dividedBy[uint32], kindUint64: dividedBy[uint64],
		kindFloat32: over(runsOf(divided[float32])), kindFloat64: over(runsOf(divided[float64])),
	}
)

var errTypes = errors.New("its inputs differ in type")

var errDivision = errors.New("an integer is divided by 0")

// dividedBy first looks for a 0 among integers, which would make Go panic.
func dividedBy[T number](out, a, b *value) error {
	y, ok := of[T](b)
	if !ok {
		return errTypes
	}
	if slices.Contains(y, 0) {
		return errDivision
	}
	x, _ := of[T](a)
	return combine(out, a, b, x, y, runsOf(divided[T]))
}

func arithmeticOp(since int, t *table) operator {
	return operator{since: since, inputs: [2]int{2, 2}, outputs: 1, inPlace: true, prepare: func(n *node) (kernel, error) {
		return func(in, out []*value) error { return t.apply(out[0], in[0], in[1]) }, n.settings().end()
	}}
}

// variadicOp folds its inputs from the left.
func variadicOp(since int, t *table) operator {
	return operator{since: since, inputs: [2]int{1, -1}, outputs: 1, prepare: func(n *node) (kernel, error) {
		return func(in, out []*value) error { return t.fold(out[0], in) }, n.settings().end()
	}}
}

func (t *table) fold(out *value, in []*value) error {
	switch len(in) {
	case 1:
		return out.copy(in[0], in[0].shape)
	case 2:
		return t.apply(out, in[0], in[1])
	}
	sum := in[0]
	for _, v := range in[1 : len(in)-1] {
		next := &value{memory: out.memory}
		if err := t.apply(next, sum, v); err != nil {
			return err
		}
		sum = next
	}
	return t.apply(out, sum, in[len(in)-1])
}

var mean = operator{since: 8, inputs: [2]int{1, -1}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		if err := addLoops.fold(out[0], in); err != nil {
			return err
		}
		switch y := out[0].data.(type) {
		case *[]float32:
			scale(*y, 1/float32(len(in)))
		case *[]float64:
			scale(*y, 1/float64(len(in)))
		default:
			return unsupported(out[0])
		}
		return nil
	}, n.settings().end()
}}

func scale[T float](y []T, by T) {
	for i := range y {
		y[i] *= by
	}
}

// pow has a base of one type and an exponent of any.
var pow = operator{since: 7, inputs: [2]int{2, 2}, outputs: 1, prepare: func(n *node) (kernel, error) {
	return func(in, out []*value) error {
		exponent := in[1]
		if exponent.dtype() != in[0].dtype() {
			exponent = &value{memory: out[0].memory}
			if err := castTo(exponent, in[1], in[0].dtype()); err != nil {
				return err
			}
		}
		return powLoops.apply(out[0], in[0], exponent)
	}, n.settings().end()
}}

func powered[T number](x, y T) T { return T(power(float64(x), float64(y))) }

// power treats the most common exponents separately.
func power(x, y float64) float64 {
	switch y {
	case 2:
		return x * x
	case 3:
		return x * x * x
	case 0.5:
		return math.Sqrt(x)
	}
	return math.Pow(x, y)
}
