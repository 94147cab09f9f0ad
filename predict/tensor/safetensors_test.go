package tensor_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/tensor"
)

func zeros(header string, body int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), make([]byte, body)...)
}

// A file makes no more tensors than it has bytes, whatever its header says.
func TestTensorsDoNotShareBytes(t *testing.T) {
	var entries []string
	for i := range 100 {
		entries = append(entries, fmt.Sprintf(`"t%d":{"dtype":"U8","shape":[1000],"data_offsets":[0,1000]}`, i))
	}
	if _, err := tensor.ReadSafetensors(zeros("{"+strings.Join(entries, ",")+"}", 1000)); err == nil || !strings.Contains(err.Error(), "exceed the file's 1000 bytes") {
		t.Errorf("got %v", err)
	}
	if m, err := tensor.ReadSafetensors(zeros("{"+entries[0]+"}", 1000)); err != nil || m["t0"].Len() != 1000 {
		t.Errorf("one tensor: %v", err)
	}
	if _, err := tensor.ReadSafetensors(zeros("{"+strings.Repeat(" ", 5<<20)+"}", 0)); err == nil || !strings.Contains(err.Error(), "header claims") {
		t.Errorf("a header of megabytes: %v", err)
	}
}

func safetensors(header, body string) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), body...)
}

func TestReadSafetensors(t *testing.T) {
	const a, b = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`, `"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}`
	one := "\x00\x00\x80\x3f"
	got, err := tensor.ReadSafetensors(safetensors("{"+a+","+b+`,"__metadata__":{"k":"v"}}`, one+one+"\x07"))
	if err != nil || len(got) != 2 || got["a"].Data.([]float32)[1] != 1 || got["b"].Data.([]uint8)[0] != 7 {
		t.Fatalf("%v, %v", got, err)
	}
	got, err = tensor.ReadSafetensors(safetensors(`{"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}`, "\x00\x01\x00"))
	if err != nil || !slices.Equal(got["a"].Data.([]bool), []bool{false, true, false}) {
		t.Errorf("booleans: %v, %v", got, err)
	}
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"no header":        {[]byte("1234567"), "too short for a header"},
		"a longer header":  {safetensors("{}", "")[:9], "claims"},
		"no JSON":          {safetensors("{", ""), "JSON"},
		"trailing bytes":   {safetensors("{"+a+"}", one+one+"x"), "1 bytes are left"},
		"a hole":           {safetensors(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "xy"), "begins at byte 1"},
		"a hole between":   {safetensors("{"+a+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[9,10]}}`, one+one+"xy"), "begins at byte 9"},
		"an overlap":       {safetensors("{"+a+`,"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`, one+one), "exceed the file's 8 bytes"},
		"beyond the file":  {safetensors("{"+a+"}", one), "bytes 0 to 8 of 4"},
		"an unknown type":  {safetensors(`{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}}`, "x"), "F8"},
		"a wrong shape":    {safetensors(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, one+one), "needs 3"},
		"offsets reversed": {safetensors(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[1,0]}}`, "x"), "bytes 1 to 0"},
	} {
		if got, err := tensor.ReadSafetensors(c.file); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v; want %q", name, got, err, c.says)
		}
	}
}

func TestStrings(t *testing.T) {
	raw := tensor.Tensor{Shape: []int64{5}, Data: []uint8("héo!")}
	got, err := tensor.JoinStrings(raw, tensor.Tensor{Shape: []int64{2, 2}, Data: []int64{3, 0, 1, 1}})
	if want := []string{"hé", "", "o", "!"}; err != nil || !slices.Equal(got.Data.([]string), want) || got.Rows() != 2 {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for name, c := range map[string]struct {
		lengths tensor.Tensor
		says    string
	}{
		"a negative length": {tensor.Tensor{Shape: []int64{2}, Data: []int64{-1, 6}}, "element 0 has -1 bytes of the 5"},
		"a long one":        {tensor.Tensor{Shape: []int64{2}, Data: []int64{2, 4}}, "element 1 has 4 bytes of the 3"},
		"bytes that remain": {tensor.Tensor{Shape: []int64{2}, Data: []int64{2, 2}}, "1 bytes are left"},
		"other lengths":     {tensor.Tensor{Shape: []int64{1}, Data: []int32{5}}, "int32"},
	} {
		if got, err := tensor.JoinStrings(raw, c.lengths); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v; want %q", name, got, err, c.says)
		}
	}
	if got, err := tensor.JoinStrings(tensor.Tensor{Shape: []int64{1}, Data: []int8{1}}, tensor.Tensor{Shape: []int64{1}, Data: []int64{1}}); err == nil {
		t.Errorf("of int8: %v", got)
	}
}
