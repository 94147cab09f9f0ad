package tfserving

// The gRPC services.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/bundle"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

// PredictionService infers, and describes models.
type PredictionService struct {
	pb.UnimplementedPredictionServiceServer
	models  Models
	maxBody int64
}

// NewPredictionService returns a service for models. Repeated values that a request abbreviates may
// lengthen it by maxBody bytes.
func NewPredictionService(models Models, maxBody int64) *PredictionService {
	return &PredictionService{models: models, maxBody: maxBody}
}

// find returns the model that a request names.
func find(models Models, spec *pb.ModelSpec) (*served.Model, error) {
	if spec == nil {
		return nil, served.BadInput("model_spec is missing")
	}
	switch choice := spec.GetVersionChoice().(type) {
	case *pb.ModelSpec_Version:
		return models.Get(spec.GetName(), strconv.FormatInt(choice.Version.GetValue(), 10))
	case *pb.ModelSpec_VersionLabel:
		m, err := models.Labelled(spec.GetName(), choice.VersionLabel)
		if errors.Is(err, served.ErrNotFound) {
			err = served.BadInput("model_spec: version_label: %v", err) // as TensorFlow Serving has it
		}
		return m, err
	}
	return models.Get(spec.GetName(), "")
}

// specOf returns which model answers.
func specOf(m *served.Model, signature string) *pb.ModelSpec {
	spec := &pb.ModelSpec{Name: m.Name, SignatureName: signature}
	if n, err := strconv.ParseInt(m.Version, 10, 64); err == nil {
		spec.VersionChoice = &pb.ModelSpec_Version{Version: wrapperspb.Int64(n)}
	}
	return spec
}

// message is a request to any inference method.
type message interface {
	proto.Message
	GetModelSpec() *pb.ModelSpec
}

// infer answers one request: answer reads it into q, runs that, and writes the outputs of the model that by names.
func (s *PredictionService) infer(ctx context.Context, req message, verb string,
	answer func(q *request, r *served.Request, by *pb.ModelSpec) error,
) error {
	m, err := find(s.models, req.GetModelSpec())
	if err != nil {
		return reply.RPC(err)
	}
	defer m.Release()
	err = m.Do(ctx, observe.From(ctx), func(r *served.Request) error {
		r.Types = TypeName
		chosen, err := choose(m, req.GetModelSpec().GetSignatureName(), verb)
		if err != nil {
			return served.BadInput("model_spec: signature_name: %w", err)
		}
		if err := Answers(chosen, verb); err != nil {
			return err
		}
		r.Use(chosen)
		signature := req.GetModelSpec().GetSignatureName()
		if _, listed := Signatures(m)[signature]; !listed {
			signature = Signature
			if chosen != m {
				signature = own(chosen)
			}
		}
		return answer(&request{m: chosen, concat: r.Concat}, r, specOf(m, signature))
	})
	if verb == "predict" && errors.Is(err, errNoSignature) { // as TensorFlow Serving has it
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	return reply.RPC(err)
}

// Predict runs a model on tensors.
func (s *PredictionService) Predict(ctx context.Context, req *pb.PredictRequest) (*pb.PredictResponse, error) {
	response := &pb.PredictResponse{Outputs: map[string]*pb.TensorProto{}}
	err := s.infer(ctx, req, "predict", func(q *request, r *served.Request, by *pb.ModelSpec) error {
		wanted, err := filter(q.m, req.GetOutputFilter())
		if err != nil {
			return err
		}
		if err := q.tensors(r, req.GetInputs(), s.maxBody); err != nil {
			return err
		}
		results, err := q.run(r)
		if err != nil {
			return err
		}
		response.ModelSpec = by
		for _, name := range wanted {
			response.Outputs[name] = toProto(results[name])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// tensors converts tensors to columns. Abbreviated values may take remaining bytes.
func (q *request) tensors(r *served.Request, inputs map[string]*pb.TensorProto, remaining int64) error {
	q.columns = make(predict.Tensors, len(inputs))
	in := &reader{elements: q.m.MaxElements, remaining: remaining, memory: r}
	for name, p := range inputs {
		spec, err := q.spec(name)
		if err != nil {
			return served.BadInput("inputs: %w", err)
		}
		t, err := in.tensor(p)
		if errors.Is(err, predict.ErrBusy) {
			return err
		}
		if err != nil {
			return served.BadInput("inputs: %q: %w", name, err)
		}
		if len(t.Shape) == 0 && q.single(spec) {
			t.Shape = []int64{1}
			q.bare++
		}
		q.columns[name] = q.complete(spec, t)
	}
	if err := q.allBare(q.columns); err != nil {
		return served.BadInput("inputs: %w", err)
	}
	return nil
}

// filter returns the outputs to answer with.
func filter(m *served.Model, chosen []string) ([]string, error) {
	var all []string
	for _, o := range outputs(m) {
		all = append(all, o.Name)
	}
	hidden := func(name string) bool {
		return slices.ContainsFunc(m.Manifest().Outputs, func(o bundle.TensorInfo) bool { return o.Hidden && o.Name == name })
	}
	for i, name := range chosen {
		if !slices.Contains(all, name) && !hidden(name) {
			return nil, served.BadInput("output_filter: the signature has no output %q; it has %q", name, all)
		}
		if slices.Contains(chosen[:i], name) {
			return nil, served.BadInput("output_filter: output %q occurs twice", name)
		}
	}
	if len(chosen) > 0 {
		return chosen, nil
	}
	return all, nil
}

// Classify returns every label with its score, in the model's order, for each example.
//
//forgo:writer TensorFlow gRPC classes
func (s *PredictionService) Classify(ctx context.Context, req *pb.ClassificationRequest) (*pb.ClassificationResponse, error) {
	response := &pb.ClassificationResponse{Result: &pb.ClassificationResult{}}
	err := s.infer(ctx, req, "classify", func(q *request, r *served.Request, by *pb.ModelSpec) error {
		if err := q.examples(r, req.GetInput()); err != nil {
			return err
		}
		results, err := q.run(r)
		if err != nil {
			return err
		}
		scored, err := q.classes(results)
		if err != nil {
			return err
		}
		response.ModelSpec = by
		for row := range scored.rows {
			classes := make([]*pb.Class, scored.each)
			for i := range classes {
				label, score := scored.class(row, i)
				classes[i] = &pb.Class{Label: label, Score: float32(score)}
			}
			response.Result.Classifications = append(response.Result.Classifications, &pb.Classifications{Classes: classes})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// Regress returns one number for each example.
func (s *PredictionService) Regress(ctx context.Context, req *pb.RegressionRequest) (*pb.RegressionResponse, error) {
	response := &pb.RegressionResponse{Result: &pb.RegressionResult{}}
	err := s.infer(ctx, req, "regress", func(q *request, r *served.Request, by *pb.ModelSpec) error {
		if err := q.examples(r, req.GetInput()); err != nil {
			return err
		}
		results, err := q.run(r)
		if err != nil {
			return err
		}
		t, err := q.values(results)
		if err != nil {
			return err
		}
		values, err := t.Floats()
		if err != nil {
			return err
		}
		response.ModelSpec = by
		for _, value := range values {
			response.Result.Regressions = append(response.Result.Regressions, &pb.Regression{Value: float32(value)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// MultiInference refuses every request: each task is a request of its own.
func (s *PredictionService) MultiInference(context.Context, *pb.MultiInferenceRequest) (*pb.MultiInferenceResponse, error) {
	return nil, status.Error(codes.Unimplemented, "MultiInference is not supported; call Classify or Regress for each task")
}

// SignatureDef is the only kind of metadata.
const SignatureDef = "signature_def"

// GetModelMetadata returns a model's inputs and outputs.
func (s *PredictionService) GetModelMetadata(_ context.Context, req *pb.GetModelMetadataRequest) (*pb.GetModelMetadataResponse, error) {
	fields := req.GetMetadataField()
	if len(fields) == 0 {
		return nil, reply.RPC(served.BadInput("metadata_field is missing; send %q", SignatureDef))
	}
	for _, field := range fields {
		if field != SignatureDef {
			return nil, reply.RPC(served.BadInput("metadata_field: unknown field %q; send %q", field, SignatureDef))
		}
	}
	m, err := find(s.models, req.GetModelSpec())
	if err != nil {
		return nil, reply.RPC(err)
	}
	defer m.Release()
	describe := func(s tensor.Spec) *pb.TensorInfo {
		return &pb.TensorInfo{Name: s.Name, Dtype: protoType(s.DType), TensorShape: protoShape(s.Shape)}
	}
	signatures := map[string]*pb.SignatureDef{}
	for name, s := range Signatures(m) {
		signature := &pb.SignatureDef{Inputs: map[string]*pb.TensorInfo{}, Outputs: map[string]*pb.TensorInfo{}, MethodName: MethodOf(s)}
		for _, i := range takes(s) {
			signature.Inputs[i.Name] = describe(i)
		}
		for _, o := range outputs(s) {
			signature.Outputs[o.Name] = describe(o.Spec())
		}
		signatures[name] = signature
	}
	packed, err := anypb.New(&pb.SignatureDefMap{SignatureDef: signatures})
	if err != nil {
		return nil, reply.RPC(fmt.Errorf("pack the signature: %w", err))
	}
	return &pb.GetModelMetadataResponse{ModelSpec: specOf(m, ""), Metadata: map[string]*anypb.Any{SignatureDef: packed}}, nil
}

// ModelService reports the states of models' versions.
type ModelService struct {
	pb.UnimplementedModelServiceServer
	models Models
}

// NewModelService returns a service for models.
func NewModelService(models Models) *ModelService { return &ModelService{models: models} }

// GetModelStatus returns the requested version, or all known versions, highest first.
func (s *ModelService) GetModelStatus(_ context.Context, req *pb.GetModelStatusRequest) (*pb.GetModelStatusResponse, error) {
	spec, which := req.GetModelSpec(), ""
	m, err := find(s.models, spec)
	if err != nil && !errors.Is(err, served.ErrNotReady) {
		return nil, reply.RPC(err)
	}
	if err == nil {
		defer m.Release()
	}
	switch choice := spec.GetVersionChoice().(type) {
	case *pb.ModelSpec_Version:
		which = strconv.FormatInt(choice.Version.GetValue(), 10)
	case *pb.ModelSpec_VersionLabel:
		if err != nil {
			return nil, reply.RPC(err)
		}
		which = m.Version
	}
	answer := &pb.GetModelStatusResponse{}
	for _, v := range known(s.models, spec.GetName(), which) {
		n, _ := strconv.ParseInt(v.Version, 10, 64) // 0 for a version that is no number
		code := pb.Code_OK
		if v.State == repository.Unavailable {
			code = pb.Code_UNAVAILABLE
		}
		answer.ModelVersionStatus = append(answer.ModelVersionStatus, &pb.ModelVersionStatus{
			Version: n, State: pb.ModelVersionStatus_State(pb.ModelVersionStatus_State_value[states[v.State]]),
			Status: &pb.StatusProto{ErrorCode: code, ErrorMessage: v.Reason},
		})
	}
	return answer, nil
}

// HandleReloadConfigRequest refuses every request: the server's own settings say where models are.
func (s *ModelService) HandleReloadConfigRequest(context.Context, *pb.ReloadConfigRequest) (*pb.ReloadConfigResponse, error) {
	return nil, status.Error(codes.Unimplemented,
		"HandleReloadConfigRequest is not supported; call RepositoryModelLoad of inference.GRPCInferenceService on the admin port")
}
