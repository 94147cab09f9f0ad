package oippb_test

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/protofields/fieldstest"
)

func TestMessagesAreReadAsByTheGeneratedCode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d := new(pb.ModelInferRequest).ProtoReflect().Descriptor()
	for range 5_000 {
		if raw := fieldstest.Message(r, d, false); !fieldstest.Read(t, raw, new(pb.ModelInferRequest), new(pb.ModelInferRequest)) {
			t.Fatalf("%x is left to the generated code", raw)
		}
	}
	byHand := 0
	for range 20_000 {
		if fieldstest.Read(t, fieldstest.Message(r, d, true), new(pb.ModelInferRequest), new(pb.ModelInferRequest)) {
			byHand++
		}
	}
	if byHand < 5_000 || byHand > 19_000 {
		t.Errorf("of 20000 odd messages %d were read by hand", byHand)
	}
}

func TestMessagesAreWrittenAsByTheGeneratedCode(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	d := new(pb.ModelInferResponse).ProtoReflect().Descriptor()
	byHand := 0
	for range 20_000 {
		m := new(pb.ModelInferResponse)
		if proto.Unmarshal(fieldstest.Message(r, d, r.IntN(2) == 0), m) == nil && fieldstest.Write(t, m, new(pb.ModelInferResponse)) {
			byHand++
		}
	}
	if byHand < 5_000 {
		t.Errorf("of 20000 messages %d were written by hand", byHand)
	}
	for name, m := range map[string]*pb.ModelInferResponse{
		"no UTF-8":  {Id: "\xff"},
		"no output": {Outputs: []*pb.ModelInferResponse_InferOutputTensor{nil}},
	} {
		if _, ok := m.SizeWire(); ok {
			t.Errorf("%s: it is written by hand", name)
		}
	}
}

func FuzzModelInfer(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		f.Add(fieldstest.Message(r, new(pb.ModelInferRequest).ProtoReflect().Descriptor(), false))
		f.Add(fieldstest.Message(r, new(pb.ModelInferResponse).ProtoReflect().Descriptor(), true))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fieldstest.Read(t, raw, new(pb.ModelInferRequest), new(pb.ModelInferRequest))
		if m := new(pb.ModelInferResponse); proto.Unmarshal(raw, m) == nil {
			fieldstest.Write(t, m, new(pb.ModelInferResponse))
		}
	})
}
