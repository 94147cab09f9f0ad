package messages

import (
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
)

// What a message takes is told before any of it is made.
func TestCost(t *testing.T) {
	for name, c := range map[string]struct {
		message proto.Message
		want    int64
	}{
		"nothing":        {&pb.ModelInferRequest{}, messageSize},
		"bytes":          {&pb.ModelInferRequest{RawInputContents: [][]byte{make([]byte, 100)}}, messageSize + 100 + 2*pointerSize},
		"packed numbers": {&pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Shape: []int64{1, 300}}}}, 2*messageSize + 2*8 + 2*pointerSize},
		"packed floats":  {&tfpb.TensorProto{FloatVal: make([]float32, 10)}, messageSize + 40 + pointerSize},
		"an entry of a map": {
			&pb.ModelInferRequest{Parameters: map[string]*pb.InferParameter{"a": {}}},
			3*messageSize + entrySize + 1 + 4*pointerSize,
		},
		"one number":     {&tfpb.TensorProto{Dtype: tfpb.DataType_DT_FLOAT}, messageSize + pointerSize},
		"a large number": {&tfpb.TensorProto{Uint64Val: []uint64{1, 2}}, messageSize + 2*8 + pointerSize},
	} {
		raw, err := proto.Marshal(c.message)
		if err != nil {
			t.Fatal(err)
		}
		l := layoutOf(c.message.ProtoReflect().Descriptor())
		if n, err := l.cost(raw, 0); err != nil || n != c.want {
			t.Errorf("%s: %d, %v; want %d", name, n, err, c.want)
		}
		if n, err := l.cost(append(raw, 0xfa, 0x3f, 3, 1, 2, 3), 0); err != nil || n != c.want+3+pointerSize {
			t.Errorf("%s and an unknown field: %d, %v; want %d", name, n, err, c.want+3+pointerSize)
		}
	}
}
