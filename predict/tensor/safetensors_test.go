package tensor_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/tensor"
)

func safetensors(header string, body int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), make([]byte, body)...)
}

// A file makes no more tensors than it has bytes, whatever its header says.
func TestTensorsDoNotShareBytes(t *testing.T) {
	var entries []string
	for i := range 100 {
		entries = append(entries, fmt.Sprintf(`"t%d":{"dtype":"U8","shape":[1000],"data_offsets":[0,1000]}`, i))
	}
	if _, err := tensor.ReadSafetensors(safetensors("{"+strings.Join(entries, ",")+"}", 1000)); err == nil || !strings.Contains(err.Error(), "more than the 1000 bytes") {
		t.Errorf("got %v", err)
	}
	if m, err := tensor.ReadSafetensors(safetensors("{"+entries[0]+"}", 1000)); err != nil || m["t0"].Len() != 1000 {
		t.Errorf("one tensor: %v", err)
	}
	if _, err := tensor.ReadSafetensors(safetensors("{"+strings.Repeat(" ", 5<<20)+"}", 0)); err == nil || !strings.Contains(err.Error(), "header claims") {
		t.Errorf("a header of megabytes: %v", err)
	}
}
