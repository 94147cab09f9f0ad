package tfpb_test

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/forgo-ml/forgo/internal/protofields/fieldstest"
	"github.com/forgo-ml/forgo/internal/tfpb"
)

func TestMessagesAreReadAsByTheGeneratedCode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d := new(tfpb.PredictRequest).ProtoReflect().Descriptor()
	for range 5_000 {
		if raw := fieldstest.Message(r, d, false); !fieldstest.Read(t, raw, new(tfpb.PredictRequest), new(tfpb.PredictRequest)) {
			t.Fatalf("%x is left to the generated code", raw)
		}
	}
	byHand := 0
	for range 20_000 {
		if fieldstest.Read(t, fieldstest.Message(r, d, true), new(tfpb.PredictRequest), new(tfpb.PredictRequest)) {
			byHand++
		}
	}
	if byHand < 5_000 || byHand > 19_000 {
		t.Errorf("of 20000 odd messages %d were read by hand", byHand)
	}
}

func TestMessagesAreWrittenAsByTheGeneratedCode(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	d := new(tfpb.PredictResponse).ProtoReflect().Descriptor()
	byHand := 0
	for range 20_000 {
		m := new(tfpb.PredictResponse)
		if proto.Unmarshal(fieldstest.Message(r, d, r.IntN(2) == 0), m) == nil && fieldstest.Write(t, m, new(tfpb.PredictResponse)) {
			byHand++
		}
	}
	if byHand < 5_000 {
		t.Errorf("of 20000 messages %d were written by hand", byHand)
	}
	for name, m := range map[string]*tfpb.PredictResponse{
		"no UTF-8":      {ModelSpec: &tfpb.ModelSpec{Name: "\xff"}},
		"no tensor":     {Outputs: map[string]*tfpb.TensorProto{"y": nil}},
		"a label":       {ModelSpec: &tfpb.ModelSpec{VersionChoice: &tfpb.ModelSpec_VersionLabel{VersionLabel: "stable"}}},
		"no UTF-8 name": {Outputs: map[string]*tfpb.TensorProto{"\xff": {}}},
	} {
		if _, ok := m.SizeWire(); ok {
			t.Errorf("%s: it is written by hand", name)
		}
	}
}

func FuzzPredict(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		f.Add(fieldstest.Message(r, new(tfpb.PredictRequest).ProtoReflect().Descriptor(), false))
		f.Add(fieldstest.Message(r, new(tfpb.PredictResponse).ProtoReflect().Descriptor(), true))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fieldstest.Read(t, raw, new(tfpb.PredictRequest), new(tfpb.PredictRequest))
		if m := new(tfpb.PredictResponse); proto.Unmarshal(raw, m) == nil {
			fieldstest.Write(t, m, new(tfpb.PredictResponse))
		}
	})
}
