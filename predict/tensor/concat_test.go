package tensor_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/forgo-ml/forgo/predict/tensor"
)

// four values of each type.
var values = []any{
	[]bool{true, false, true, true},
	[]int8{1, 2, 3, 4},
	[]int16{1, 2, 3, 4},
	[]int32{1, 2, 3, 4},
	[]int64{1, 2, 3, 4},
	[]uint8{1, 2, 3, 4},
	[]uint16{1, 2, 3, 4},
	[]uint32{1, 2, 3, 4},
	[]uint64{1, 2, 3, 4},
	[]tensor.Float16Bits{1, 2, 3, 4},
	[]tensor.BFloat16Bits{1, 2, 3, 4},
	[]float32{1, 2, 3, 4},
	[]float64{1, 2, 3, 4},
	[]string{"a", "b", "c", "d"},
}

func TestSliceAndConcat(t *testing.T) {
	for _, data := range values {
		whole := tensor.Tensor{Shape: []int64{4, 1}, Data: data}
		t.Run(string(whole.DType()), func(t *testing.T) {
			first, rest := whole.Slice(0, 1), whole.Slice(1, 4)
			if got, want := rest.Data, reflect.ValueOf(data).Slice(1, 4).Interface(); !reflect.DeepEqual(got, want) || rest.Rows() != 3 {
				t.Errorf("rows 1 to 4 of %v: %v", data, rest)
			}
			if reflect.ValueOf(first.Data).Cap() != 1 {
				t.Error("appending to a slice would write to the rows behind it")
			}
			joined, err := tensor.Concat(rest, first)
			if err != nil {
				t.Fatal(err)
			}
			back, err := tensor.ConcatInto(joined, first, rest)
			if err != nil || !reflect.DeepEqual(back, whole) {
				t.Errorf("got %v back (%v), want %v", back, err, whole)
			}
			if reflect.ValueOf(back.Data).Pointer() != reflect.ValueOf(joined.Data).Pointer() {
				t.Error("the memory was not used again")
			}
			more, err := tensor.ConcatInto(back, whole, whole)
			if err != nil || more.Rows() != 8 || more.Check() != nil {
				t.Errorf("into memory too small: %v, %v", more, err)
			}
		})
	}
}

func TestConcatRefuses(t *testing.T) {
	x := tensor.Tensor{Shape: []int64{1, 2}, Data: []float32{1, 2}}
	for name, parts := range map[string][]tensor.Tensor{
		"nothing":     nil,
		"scalars":     {{Data: []float32{1}}, {Data: []float32{1}}},
		"other type":  {x, {Shape: []int64{1, 2}, Data: []float64{1, 2}}},
		"other width": {x, {Shape: []int64{1, 1}, Data: []float32{1}}},
		"other rank":  {x, {Shape: []int64{2}, Data: []float32{1, 2}}},
	} {
		if out, err := tensor.Concat(parts...); err == nil {
			t.Errorf("%s: got %v, want an error", name, out)
		}
	}
}

func TestAppendRows(t *testing.T) {
	x := tensor.Tensor{Shape: []int64{2, 2}, Data: []float32{1, 2, 3, 4}}
	all, err := tensor.AppendRows(tensor.Tensor{}, x, 3)
	if err != nil || cap(all.Data.([]float32)) != 6 {
		t.Fatalf("%v, %v: memory for %d elements, not 6", all, err, cap(all.Data.([]float32)))
	}
	all, err = tensor.AppendRows(all, x.Slice(1, 2), 3)
	if want := (tensor.Tensor{Shape: []int64{3, 2}, Data: []float32{1, 2, 3, 4, 3, 4}}); err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("got %v, %v", all, err)
	}
	for name, part := range map[string]tensor.Tensor{
		"other type":  {Shape: []int64{1, 2}, Data: []float64{1, 2}},
		"other width": {Shape: []int64{1, 1}, Data: []float32{1}},
		"other rank":  {Shape: []int64{1, 2, 1}, Data: []float32{1, 2}},
	} {
		if out, err := tensor.AppendRows(all, part, 3); err == nil {
			t.Errorf("%s: got %v, want an error", name, out)
		}
	}
	if out, err := tensor.AppendRows(tensor.Tensor{}, tensor.Tensor{Data: []float32{1}}, 1); err == nil {
		t.Errorf("rows of a scalar: %v", out)
	}
}

func TestSpecWithout(t *testing.T) {
	for _, c := range []struct {
		shape []int64
		n     int
		want  []int64
	}{
		{[]int64{-1, 3, 1, 1}, 1, []int64{-1, 3, 1}},
		{[]int64{-1, 3, 1, 1}, 9, []int64{-1, 3}},
		{[]int64{-1, 1}, 2, []int64{-1}},
		{[]int64{1}, 1, []int64{1}},
		{[]int64{-1, 1}, 0, []int64{-1, 1}},
	} {
		if got := (tensor.Spec{Shape: c.shape}).Without(c.n).Shape; !slices.Equal(got, c.want) {
			t.Errorf("%v without %d: %v, want %v", c.shape, c.n, got, c.want)
		}
	}
}

func TestSpecTakes(t *testing.T) {
	spec := func(shape ...int64) tensor.Spec { return tensor.Spec{DType: tensor.Float32, Shape: shape} }
	for _, c := range []struct {
		spec  tensor.Spec
		dtype tensor.DType
		shape []int64
		want  bool
	}{
		{spec(-1, 2), tensor.Float32, []int64{7, 2}, true},
		{spec(-1, 2), tensor.Float64, []int64{7, 2}, false},
		{spec(-1, 2), tensor.Float32, []int64{7, 3}, false},
		{spec(-1, 2), tensor.Float32, []int64{7}, false},
		{spec(-1, 2), tensor.Float32, []int64{7, 2, 1}, false},
		{spec(-1, 0), tensor.Float32, []int64{7, 0}, true},
		{spec(-1, 0), tensor.Float32, []int64{7, 3}, false},
		{tensor.Spec{DType: tensor.Float32}, tensor.Float32, []int64{1, 2, 3}, true},
		{tensor.Spec{DType: tensor.Float32, Shape: []int64{}}, tensor.Float32, []int64{1}, false},
	} {
		if got := c.spec.Takes(c.dtype, c.shape); got != c.want {
			t.Errorf("%v takes %s%v: %t", c.spec, c.dtype, c.shape, got)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, x := range map[string]tensor.Tensor{
		"a size below 0": {Shape: []int64{-1, 2}, Data: []float32{}},
		"too large":      {Shape: []int64{1 << 62, 1 << 62}, Data: []float32{}},
		"no type":        {Shape: []int64{1}, Data: []int{1}},
		"too few":        {Shape: []int64{2}, Data: []float32{1}},
	} {
		if err := x.Check(); err == nil {
			t.Errorf("%s: %v", name, x)
		}
	}
	if x, err := tensor.New([]float32{}, 1<<62, 1<<62); err == nil {
		t.Errorf("more elements than there can be: %v", x)
	}
}

func TestSize(t *testing.T) {
	for want, x := range map[int64]tensor.Tensor{
		37: {Shape: []int64{2}, Data: []string{"hello", ""}}, 16: {Shape: []int64{2}, Data: []float64{1, 2}}, 6: {Shape: []int64{3}, Data: []tensor.Float16Bits{1, 2, 3}},
	} {
		if got := x.Size(); got != want {
			t.Errorf("%v takes %d bytes, not %d", x, got, want)
		}
	}
}

func BenchmarkConcatInto(b *testing.B) {
	for _, data := range []any{make([]float32, 64), make([]int32, 64)} {
		x := tensor.Tensor{Shape: []int64{1, 64}, Data: data}
		b.Run(fmt.Sprintf("32 rows of %s", x.DType()), func(b *testing.B) {
			parts := slices.Repeat([]tensor.Tensor{x}, 32)
			var out tensor.Tensor
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if out, err = tensor.ConcatInto(out, parts...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSlice(b *testing.B) {
	for _, data := range []any{make([]float32, 64), make([]int32, 64)} {
		x := tensor.Tensor{Shape: []int64{32, 2}, Data: data}
		b.Run(string(x.DType()), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = x.Slice(3, 4)
			}
		})
	}
}
