package tfserving

// TensorFlow Serving's PredictionService over gRPC. This encodes and decodes messages with its own code,
// since the server's would hide the server's faults.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/forgo-ml/forgo/client/replay"
	pb "github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// prediction is a model in the service.
type prediction struct {
	*replay.Server
	replay.Mapping
	signature string // "" for the bundle's own
}

const service = "/tensorflow.serving.PredictionService/"

// spec names the model, and the version if the user asked for one.
func (p prediction) spec(signature string) (*pb.ModelSpec, error) {
	name, version, ok := strings.Cut(p.Model, "/versions/")
	spec := &pb.ModelSpec{Name: name, SignatureName: signature}
	if ok {
		n, err := strconv.ParseInt(version, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("version %q is not a number, which the protocol needs", version)
		}
		spec.VersionChoice = &pb.ModelSpec_Version{Version: wrapperspb.Int64(n)}
	}
	return spec, nil
}

// grpcForms asks for the model's signature. It fails if there is no such model.
func grpcForms(ctx context.Context, s *replay.Server) ([]replay.Form, error) {
	p := prediction{Server: s}
	spec, err := p.spec("")
	if err != nil {
		return nil, err
	}
	var known pb.GetModelMetadataResponse
	request := &pb.GetModelMetadataRequest{ModelSpec: spec, MetadataField: []string{"signature_def"}}
	if err := s.Plain.Invoke(ctx, service+"GetModelMetadata", request, &known); err != nil {
		return nil, err
	}
	var signatures pb.SignatureDefMap
	if err := known.GetMetadata()["signature_def"].UnmarshalTo(&signatures); err != nil {
		return nil, fmt.Errorf("GetModelMetadata: %w", err)
	}
	if err := p.find(&signatures, ownSignature); errors.Is(err, errNotListed) {
		return nil, err
	} else if err != nil {
		return replay.Failed("values", err), nil
	}
	forms := []replay.Form{{Name: "values", Ask: p.predict(false)}, {Name: "content", Ask: p.predict(true)}}
	// On other servers, the method needs a signature of its own. Features have only three types.
	if s.IsForgo() && s.Manifest.Task == bundle.Classification && !slices.ContainsFunc(s.Manifest.Beside(), func(s tensor.Spec) bool {
		return !slices.Contains([]tensor.DType{tensor.Float32, tensor.Int32, tensor.Int64, tensor.String}, s.DType)
	}) {
		forms = append(forms, replay.Form{Name: "examples", Ask: p.classify})
	}
	for i := range s.Signed {
		signed := &s.Signed[i]
		p := prediction{Server: signed.At(s), signature: signed.Name()}
		var its []replay.Form
		if err := p.find(&signatures, p.signature); err != nil {
			its = replay.Failed("values", err)
		} else {
			its = []replay.Form{{Name: "values", Ask: p.predict(false)}, {Name: "content", Ask: p.predict(true)}}
			if takesExamples(p.Manifest) {
				its = append(its, replay.Form{Name: "examples", Ask: p.examples})
			}
		}
		forms = append(forms, signed.Forms(its...)...)
	}
	return forms, nil
}

var errNotListed = errors.New("the model has no such signature")

// find matches a signature of the server with the bundle's.
func (p *prediction) find(signatures *pb.SignatureDefMap, name string) (err error) {
	def, ok := signatures.GetSignatureDef()[name]
	if !ok {
		return fmt.Errorf("%w: %q", errNotListed, name)
	}
	specs := func(infos map[string]*pb.TensorInfo) (list []tensor.Spec) {
		for name, info := range infos {
			s := tensor.Spec{Name: name, DType: typeOf[info.GetDtype().String()]}
			for _, d := range info.GetTensorShape().GetDim() {
				s.Shape = append(s.Shape, d.GetSize())
			}
			list = append(list, s)
		}
		return list
	}
	p.Mapping, err = replay.Match(p.Manifest, specs(def.GetInputs()), specs(def.GetOutputs()))
	return err
}

func (p prediction) predict(asContent bool) func(context.Context, []bundle.Recorded) ([]replay.Row, error) {
	return func(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
		spec, err := p.spec(cmp.Or(p.signature, ownSignature))
		if err != nil {
			return nil, err
		}
		request := &pb.PredictRequest{ModelSpec: spec, Inputs: map[string]*pb.TensorProto{}}
		stacked, err := bundle.Stack(cases)
		if err != nil {
			return nil, err
		}
		for name, t := range stacked {
			if p.Inputs[name] == "" {
				t = replay.Pictures(cases)
			}
			if request.Inputs[p.Sent(name)], err = writeTensor(t, asContent); err != nil {
				return nil, err
			}
		}
		var answer pb.PredictResponse
		if err := p.Plain.Invoke(ctx, service+"Predict", request, &answer); err != nil {
			return nil, err
		}
		tensors := tensor.Map{}
		for name, m := range answer.GetOutputs() {
			if tensors[name], err = readTensor(m); err != nil {
				return nil, fmt.Errorf("output %q of the answer: %w", name, err)
			}
		}
		outputs, err := p.Named(p.Manifest, tensors)
		if err != nil {
			return nil, err
		}
		return replay.Rows(outputs, len(cases))
	}
}

// writeTensor writes a tensor. Strings are always in their field.
func writeTensor(t tensor.Tensor, asContent bool) (*pb.TensorProto, error) {
	m := &pb.TensorProto{TensorShape: &pb.TensorShapeProto{}}
	for name, d := range typeOf {
		if d == t.DType() {
			m.Dtype = pb.DataType(pb.DataType_value[name])
		}
	}
	for _, d := range t.Shape {
		m.TensorShape.Dim = append(m.TensorShape.Dim, &pb.TensorShapeProto_Dim{Size: d})
	}
	if asContent && t.DType() != tensor.String {
		var err error
		m.TensorContent, err = t.Bytes()
		return m, err
	}
	switch data := t.Data.(type) {
	case []float32:
		m.FloatVal = data
	case []float64:
		m.DoubleVal = data
	case []int64:
		m.Int64Val = data
	case []uint32:
		m.Uint32Val = data
	case []uint64:
		m.Uint64Val = data
	case []bool:
		m.BoolVal = data
	case []string:
		for _, s := range data {
			m.StringVal = append(m.StringVal, []byte(s))
		}
	case []tensor.Float16Bits:
		for _, x := range data {
			m.HalfVal = append(m.HalfVal, int32(x))
		}
	case []tensor.BFloat16Bits:
		for _, x := range data {
			m.HalfVal = append(m.HalfVal, int32(x))
		}
	default:
		numbers, err := t.Floats() // the integers of 32 bits and fewer, which these hold exactly
		if err != nil {
			return nil, err
		}
		for _, x := range numbers {
			m.IntVal = append(m.IntVal, int32(x))
		}
	}
	return m, nil
}

// readTensor reads a tensor.
func readTensor(m *pb.TensorProto) (tensor.Tensor, error) {
	d := typeOf[m.GetDtype().String()]
	t := tensor.Tensor{Shape: make([]int64, len(m.GetTensorShape().GetDim()))}
	for i, dim := range m.GetTensorShape().GetDim() {
		t.Shape[i] = dim.GetSize()
	}
	if raw := m.GetTensorContent(); len(raw) > 0 {
		return tensor.FromBytes(d, raw, t.Shape...)
	}
	numbers := make([]float64, 0, len(m.GetIntVal())+len(m.GetHalfVal()))
	for _, x := range m.GetIntVal() {
		numbers = append(numbers, float64(x))
	}
	for _, x := range m.GetHalfVal() {
		if d == tensor.BFloat16 {
			numbers = append(numbers, tensor.BFloat16Bits(x).Float64())
		} else {
			numbers = append(numbers, tensor.Float16Bits(x).Float64())
		}
	}
	switch d {
	case tensor.Float32:
		t.Data = m.GetFloatVal()
	case tensor.Float64:
		t.Data = m.GetDoubleVal()
	case tensor.Int64:
		t.Data = m.GetInt64Val()
	case tensor.Uint32:
		t.Data = m.GetUint32Val()
	case tensor.Uint64:
		t.Data = m.GetUint64Val()
	case tensor.Bool:
		t.Data = m.GetBoolVal()
	case tensor.Float16, tensor.BFloat16: // compared by value
		t.Data = numbers
	case tensor.String:
		values := []string{}
		for _, s := range m.GetStringVal() {
			values = append(values, string(s))
		}
		t.Data = values
	case tensor.Int8:
		t.Data = whole[int8](numbers)
	case tensor.Int16:
		t.Data = whole[int16](numbers)
	case tensor.Int32:
		t.Data = whole[int32](numbers)
	case tensor.Uint8:
		t.Data = whole[uint8](numbers)
	case tensor.Uint16:
		t.Data = whole[uint16](numbers)
	}
	return t, t.Check()
}

func whole[T int8 | int16 | int32 | uint8 | uint16](numbers []float64) []T {
	out := make([]T, len(numbers))
	for i, x := range numbers {
		out[i] = T(math.Round(x))
	}
	return out
}

// classify sends examples, and reads the labels with their scores.
func (p prediction) classify(ctx context.Context, cases []bundle.Recorded) ([]replay.Row, error) {
	spec, err := p.spec("")
	if err != nil {
		return nil, err
	}
	list := &pb.ExampleList{}
	for _, c := range cases {
		features := map[string]*pb.Feature{}
		for name, t := range c.Inputs {
			features[p.Sent(name)] = feature(t)
			if p.Inputs[name] == "" {
				features[p.Sent(name)] = feature(tensor.Tensor{Data: []string{string(c.Picture)}})
			}
		}
		list.Examples = append(list.Examples, &pb.Example{Features: &pb.Features{Feature: features}})
	}
	request := &pb.ClassificationRequest{ModelSpec: spec, Input: &pb.Input{Kind: &pb.Input_ExampleList{ExampleList: list}}}
	var answer pb.ClassificationResponse
	if err := p.Plain.Invoke(ctx, service+"Classify", request, &answer); err != nil {
		return nil, err
	}
	var out []replay.Row
	for _, one := range answer.GetResult().GetClassifications() {
		r := replay.Row{Classes: []predict.Class{}}
		for _, c := range one.GetClasses() {
			r.Classes = append(r.Classes, predict.Class{Label: c.GetLabel(), Score: c.GetScore()})
		}
		out = append(out, r)
	}
	return out, nil
}

// feature writes values in one of the three types of features.
func feature(t tensor.Tensor) *pb.Feature {
	switch data := t.Data.(type) {
	case []string:
		list := &pb.BytesList{}
		for _, s := range data {
			list.Value = append(list.Value, []byte(s))
		}
		return &pb.Feature{Kind: &pb.Feature_BytesList{BytesList: list}}
	case []int64:
		return &pb.Feature{Kind: &pb.Feature_Int64List{Int64List: &pb.Int64List{Value: data}}}
	case []int32:
		list := &pb.Int64List{}
		for _, x := range data {
			list.Value = append(list.Value, int64(x))
		}
		return &pb.Feature{Kind: &pb.Feature_Int64List{Int64List: list}}
	}
	list := &pb.FloatList{}
	numbers, _ := t.Floats()
	for _, x := range numbers {
		list.Value = append(list.Value, float32(x))
	}
	return &pb.Feature{Kind: &pb.Feature_FloatList{FloatList: list}}
}
