package tensor_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/forgo-ml/forgo/predict/tensor"
)

func TestBytesRoundTrip(t *testing.T) {
	for _, data := range []any{
		[]bool{true, false},
		[]int8{-1, 2},
		[]uint8{1, 255},
		[]int16{-300, 7},
		[]uint16{60000, 1},
		[]int32{math.MinInt32, 5},
		[]uint32{math.MaxUint32, 5},
		[]int64{math.MinInt64, 5},
		[]uint64{math.MaxUint64, 5},
		[]float32{float32(math.Inf(-1)), 0.1},
		[]float64{math.Inf(1), 0.1},
		[]tensor.Float16Bits{0x7c00, 0x3c00},
		[]tensor.BFloat16Bits{0x7f80, 0x3f80},
		[]string{"", "a\x00b"},
	} {
		want := tensor.Tensor{Shape: []int64{2, 1}, Data: data}
		raw, err := want.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		// Every alignment gives the same values.
		for shift := range 8 {
			moved := append(make([]byte, shift), raw...)[shift:]
			got, err := tensor.FromBytes(want.DType(), moved, 2, 1)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s moved by %d: got %v, %v; want %v", want.DType(), shift, got, err, want)
			}
		}
	}
}

func TestBytesAreSharedWhereAligned(t *testing.T) {
	raw := make([]byte, 64)
	x, err := tensor.FromBytes(tensor.Float32, raw, 4, 4)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(raw[4:], math.Float32bits(2.5))
	if data := x.Data.([]float32); data[1] != 2.5 || unsafe.Pointer(&data[0]) != unsafe.Pointer(&raw[0]) {
		t.Error("an aligned tensor was copied")
	}
	back, err := x.Bytes()
	if err != nil || &back[0] != &raw[0] || !bytes.Equal(back, raw) {
		t.Error("a tensor's bytes were copied")
	}
}

func TestFromBytesRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		dtype tensor.DType
		raw   string
		shape []int64
		says  string
	}{
		"too few bytes":        {tensor.Float32, "123", []int64{1}, "needs 4 bytes, got 3"},
		"too many bytes":       {tensor.Int8, "123", []int64{2}, "needs 2 bytes, got 3"},
		"negative size":        {tensor.Int8, "123", []int64{-3}, "negative"},
		"a bool of 2":          {tensor.Bool, "\x00\x02", []int64{2}, "byte 1 is 2"},
		"unknown type":         {"complex64", "", []int64{0}, "complex64"},
		"cut length":           {tensor.String, "\x00\x00\x00\x00\x00\x00\x00\x01", []int64{2}, "claims"},
		"string over the end":  {tensor.String, "\x09\x00\x00\x00abc", []int64{1}, "claims 9 bytes of the 3"},
		"bytes left over":      {tensor.String, "\x01\x00\x00\x00abc", []int64{1}, "2 bytes are left"},
		"more strings than is": {tensor.String, "", []int64{1 << 39}, "too few"},
	} {
		if _, err := tensor.FromBytes(c.dtype, []byte(c.raw), c.shape...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}
