package pure

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// value is a tensor during a run: an input, a constant, or a node's output. Later runs reuse its buffer,
// so that a run allocates nothing once buffers are large enough.
type value struct {
	shape  []int64
	data   any     // a *[]T, so that the slice can change without an allocation
	own    any     // a buffer for runs whose shapes do not let data be another value's
	memory *memory // owns its buffer; nil if the value shares others' memory
}

// memory is what a run, or the folding of constants, may still allocate, and when it is abandoned.
type memory struct {
	left  int64
	ctx   context.Context // nil where nothing ends it
	asked uint            // how often ended was called
}

// fits returns an error if n more elements, which no value holds yet, are too many.
func (m *memory) fits(n int64, size int) error {
	if m != nil && (n > maxMemory || m.left < n*int64(size)) {
		return errMemory
	}
	return nil
}

// everyAsked is how many calls of ended share one of the context's Err, which may look at the clock.
const everyAsked = 16

// ended returns why the run is abandoned, or nil. A run calls it before each step, and every few
// milliseconds in a long one.
func (m *memory) ended() error {
	if m.asked++; m.ctx == nil || m.asked%everyAsked != 0 {
		return nil
	}
	return m.ctx.Err()
}

// errMemory means that a run needs more memory than a graph may have.
var errMemory = fmt.Errorf("the graph needs more than %d MB of memory", maxMemory>>20)

// maxMemory bounds the buffers of one run, in bytes. A shape in a file or an input could claim any size.
const maxMemory = 1 << 30

// number lists the types for arithmetic.
type number interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64
}

// float lists the types for activations.
type float interface{ float32 | float64 }

// of returns the elements of v, or false if they have another type.
func of[T tensor.Element](v *value) ([]T, bool) {
	p, ok := v.data.(*[]T)
	if !ok {
		return nil, false
	}
	return *p, true
}

// allocate gives v a shape, and memory for its elements, which may hold old values.
func allocate[T tensor.Element](v *value, shape ...int64) ([]T, error) {
	n, err := tensor.Count(shape)
	if err != nil {
		return nil, err
	}
	p, ok := v.data.(*[]T)
	if !ok {
		p = new([]T)
		v.data = p
	}
	if int64(cap(*p)) < n {
		var one T
		// The value gives up its old buffer.
		v.memory.left += int64(cap(*p)) * int64(unsafe.Sizeof(one))
		if v.memory.left -= n * int64(unsafe.Sizeof(one)); v.memory.left < 0 {
			return nil, errMemory
		}
		*p = make([]T, n)
	}
	*p = (*p)[:n]
	v.shape = append(v.shape[:0], shape...)
	return *p, nil
}

// constant returns a value that shares a tensor's data.
func constant(t tensor.Tensor) (*value, error) {
	v := &value{}
	return v, v.set(t)
}

// set makes v share the data of t.
func (v *value) set(t tensor.Tensor) error {
	v.shape = append(v.shape[:0], t.Shape...)
	switch d := t.Data.(type) {
	case []bool:
		share(v, d)
	case []int8:
		share(v, d)
	case []int16:
		share(v, d)
	case []int32:
		share(v, d)
	case []int64:
		share(v, d)
	case []uint8:
		share(v, d)
	case []uint16:
		share(v, d)
	case []uint32:
		share(v, d)
	case []uint64:
		share(v, d)
	case []float32:
		share(v, d)
	case []float64:
		share(v, d)
	case []string:
		share(v, d)
	case []tensor.Float16Bits:
		share(v, d)
	case []tensor.BFloat16Bits:
		share(v, d)
	default:
		return fmt.Errorf("tensors of %T are not supported", t.Data)
	}
	return nil
}

// release gives up what v holds.
func (v *value) release() {
	if size := v.dtype().ElementSize(); size > 0 {
		v.memory.left += int64(size) * int64(v.count())
	}
	v.data, v.shape = nil, v.shape[:0]
}

func share[T tensor.Element](v *value, data []T) {
	if p, ok := v.data.(*[]T); ok {
		*p = data
		return
	}
	held := data // data itself stays on the stack
	v.data = &held
}

// forget releases the memory that v shares or owns.
func (v *value) forget() {
	switch p := v.data.(type) {
	case *[]bool:
		*p = nil
	case *[]int8:
		*p = nil
	case *[]int16:
		*p = nil
	case *[]int32:
		*p = nil
	case *[]int64:
		*p = nil
	case *[]uint8:
		*p = nil
	case *[]uint16:
		*p = nil
	case *[]uint32:
		*p = nil
	case *[]uint64:
		*p = nil
	case *[]float32:
		*p = nil
	case *[]float64:
		*p = nil
	case *[]string:
		*p = nil
	case *[]tensor.Float16Bits:
		*p = nil
	case *[]tensor.BFloat16Bits:
		*p = nil
	}
}

// tensor returns the value as a tensor that shares its data.
func (v *value) tensor() tensor.Tensor {
	t := tensor.Tensor{Shape: append([]int64{}, v.shape...)}
	switch p := v.data.(type) {
	case *[]bool:
		t.Data = *p
	case *[]int8:
		t.Data = *p
	case *[]int16:
		t.Data = *p
	case *[]int32:
		t.Data = *p
	case *[]int64:
		t.Data = *p
	case *[]uint8:
		t.Data = *p
	case *[]uint16:
		t.Data = *p
	case *[]uint32:
		t.Data = *p
	case *[]uint64:
		t.Data = *p
	case *[]float32:
		t.Data = *p
	case *[]float64:
		t.Data = *p
	case *[]string:
		t.Data = *p
	case *[]tensor.Float16Bits:
		t.Data = *p
	case *[]tensor.BFloat16Bits:
		t.Data = *p
	}
	return t
}

// kind numbers the element types.
type kind int

const (
	kindBool kind = iota
	kindInt8
	kindInt16
	kindInt32
	kindInt64
	kindUint8
	kindUint16
	kindUint32
	kindUint64
	kindFloat32
	kindFloat64
	kindString
	kindFloat16
	kindBFloat16
	kindNone
	kinds = iota
)

// dtypeOf maps kinds to element types.
var dtypeOf = [kinds]tensor.DType{
	kindBool:     tensor.Bool,
	kindInt8:     tensor.Int8,
	kindInt16:    tensor.Int16,
	kindInt32:    tensor.Int32,
	kindInt64:    tensor.Int64,
	kindUint8:    tensor.Uint8,
	kindUint16:   tensor.Uint16,
	kindUint32:   tensor.Uint32,
	kindUint64:   tensor.Uint64,
	kindFloat32:  tensor.Float32,
	kindFloat64:  tensor.Float64,
	kindString:   tensor.String,
	kindFloat16:  tensor.Float16,
	kindBFloat16: tensor.BFloat16,
}

func (v *value) kind() kind {
	switch v.data.(type) {
	case *[]bool:
		return kindBool
	case *[]int8:
		return kindInt8
	case *[]int16:
		return kindInt16
	case *[]int32:
		return kindInt32
	case *[]int64:
		return kindInt64
	case *[]uint8:
		return kindUint8
	case *[]uint16:
		return kindUint16
	case *[]uint32:
		return kindUint32
	case *[]uint64:
		return kindUint64
	case *[]float32:
		return kindFloat32
	case *[]float64:
		return kindFloat64
	case *[]string:
		return kindString
	case *[]tensor.Float16Bits:
		return kindFloat16
	case *[]tensor.BFloat16Bits:
		return kindBFloat16
	}
	return kindNone
}

// dtype returns the element type.
func (v *value) dtype() tensor.DType { return dtypeOf[v.kind()] }

// count returns the number of elements.
func (v *value) count() int { return int(size(v.shape)) }

// size returns the product of the sizes of a tensor's shape.
func size(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

// integers returns the elements of an int64 or int32 value, such as a shape or axes.
func (v *value) integers() ([]int64, error) {
	if d, ok := of[int64](v); ok {
		return d, nil
	}
	if d, ok := of[int32](v); ok {
		if err := v.memory.fits(int64(len(d)), 8); err != nil {
			return nil, err
		}
		return widen(d), nil
	}
	return nil, fmt.Errorf("got %s, want int64 or int32", v.dtype())
}

// axis returns an axis that may count from the end.
func axis(a int64, rank int) (int, error) {
	if a < -int64(rank) || a >= int64(rank) {
		return 0, fmt.Errorf("axis %d is out of range for %d dimensions", a, rank)
	}
	if a < 0 {
		a += int64(rank)
	}
	return int(a), nil
}

// unsupported returns the error for a type that a kernel lacks.
func unsupported(v *value) error {
	return fmt.Errorf("elements of type %s are not supported", v.dtype())
}

// copy makes v a copy of another value, with a shape of the same number of elements.
func (v *value) copy(from *value, shape []int64) error {
	switch p := from.data.(type) {
	case *[]bool:
		return duplicate(v, *p, shape)
	case *[]int8:
		return duplicate(v, *p, shape)
	case *[]int16:
		return duplicate(v, *p, shape)
	case *[]int32:
		return duplicate(v, *p, shape)
	case *[]int64:
		return duplicate(v, *p, shape)
	case *[]uint8:
		return duplicate(v, *p, shape)
	case *[]uint16:
		return duplicate(v, *p, shape)
	case *[]uint32:
		return duplicate(v, *p, shape)
	case *[]uint64:
		return duplicate(v, *p, shape)
	case *[]float32:
		return duplicate(v, *p, shape)
	case *[]float64:
		return duplicate(v, *p, shape)
	case *[]string:
		return duplicate(v, *p, shape)
	case *[]tensor.Float16Bits:
		return duplicate(v, *p, shape)
	case *[]tensor.BFloat16Bits:
		return duplicate(v, *p, shape)
	}
	return unsupported(from)
}

func duplicate[T tensor.Element](v *value, data []T, shape []int64) error {
	y, err := allocate[T](v, shape...)
	if err == nil {
		copy(y, data)
	}
	return err
}
