package tensor

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Slice returns rows from to to, exclusive. The result shares the data, but appending to it copies.
func (t Tensor) Slice(from, to int) Tensor {
	per := 0
	if rows := t.Rows(); rows > 0 {
		per = t.Len() / rows
	}
	shape := slices.Clone(t.Shape)
	shape[0] = int64(to - from)
	return Tensor{Shape: shape, Data: part(t.Data, from*per, to*per)}
}

// part slices the most common types without reflection.
func part(data any, i, j int) any {
	switch d := data.(type) {
	case []float32:
		return d[i:j:j]
	case []int64:
		return d[i:j:j]
	case []uint8:
		return d[i:j:j]
	}
	return reflect.ValueOf(data).Slice3(i, j, j).Interface()
}

// Concat copies tensors into one, along the first dimension. They must agree in type and in every other
// dimension.
func Concat(parts ...Tensor) (Tensor, error) { return ConcatInto(Tensor{}, parts...) }

// ConcatInto is like Concat, but reuses the memory of old if it is large enough. The caller must not use
// old afterwards.
func ConcatInto(old Tensor, parts ...Tensor) (Tensor, error) {
	if len(parts) == 0 {
		return Tensor{}, errors.New("concat of no tensors")
	}
	first := parts[0]
	if len(first.Shape) == 0 {
		return Tensor{}, errors.New("concat of scalars")
	}
	rows, n := int64(0), 0
	for _, p := range parts {
		if p.DType() != first.DType() || len(p.Shape) == 0 || !slices.Equal(p.Shape[1:], first.Shape[1:]) {
			return Tensor{}, fmt.Errorf("concat of %s%v and %s%v", first.DType(), first.Shape, p.DType(), p.Shape)
		}
		rows += p.Shape[0]
		n += p.Len()
	}
	shape := slices.Clone(first.Shape)
	shape[0] = rows
	return Tensor{Shape: shape, Data: join(old.Data, parts, n)}, nil
}

// join copies the most common types without reflection.
func join(old any, parts []Tensor, n int) any {
	switch parts[0].Data.(type) {
	case []float32:
		return joinAs[float32](old, parts, n)
	case []int64:
		return joinAs[int64](old, parts, n)
	case []uint8:
		return joinAs[uint8](old, parts, n)
	}
	all := reflect.ValueOf(old)
	if t := reflect.TypeOf(parts[0].Data); !all.IsValid() || all.Type() != t || all.Cap() < n {
		all = reflect.MakeSlice(t, 0, n)
	}
	all = all.Slice(0, 0)
	for _, p := range parts {
		all = reflect.AppendSlice(all, reflect.ValueOf(p.Data))
	}
	return all.Interface()
}

func joinAs[T Element](old any, parts []Tensor, n int) any {
	all, _ := old.([]T)
	if cap(all) < n {
		all = make([]T, 0, n)
	}
	all = all[:0]
	for _, p := range parts {
		all = append(all, p.Data.([]T)...)
	}
	return all
}

// AppendRows appends part to all, and allocates memory for rows rows at first. all starts as the zero
// Tensor.
func AppendRows(all, part Tensor, rows int) (Tensor, error) {
	if all.Data == nil {
		if len(part.Shape) == 0 {
			return Tensor{}, errors.New("rows of a scalar")
		}
		data := reflect.ValueOf(part.Data)
		per := data.Len() / max(1, part.Rows())
		all = Tensor{Shape: slices.Clone(part.Shape), Data: reflect.MakeSlice(data.Type(), 0, per*rows).Interface()}
		all.Shape[0] = 0
	}
	if part.DType() != all.DType() || len(part.Shape) != len(all.Shape) || !slices.Equal(part.Shape[1:], all.Shape[1:]) {
		return Tensor{}, fmt.Errorf("%s%v after %s%v", part.DType(), part.Shape, all.DType(), all.Shape)
	}
	all.Shape[0] += part.Shape[0]
	all.Data = reflect.AppendSlice(reflect.ValueOf(all.Data), reflect.ValueOf(part.Data)).Interface()
	return all, nil
}
