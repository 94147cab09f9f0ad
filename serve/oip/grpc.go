package oip

// The gRPC service.

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	forgo "github.com/forgo-ml/forgo"
	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
	"github.com/forgo-ml/forgo/serve/internal/observe"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
	"github.com/forgo-ml/forgo/serve/repository"
)

// Service is the protocol over gRPC.
type Service struct {
	pb.UnimplementedGRPCInferenceServiceServer
	models  Models
	manager Manager
}

// NewService returns a service for models. manager is for the operators' port. If it is nil, the service
// refuses to load and unload models with PERMISSION_DENIED.
func NewService(models Models, manager Manager) *Service {
	return &Service{models: models, manager: manager}
}

// ServerLive answers true once the server runs.
func (s *Service) ServerLive(context.Context, *pb.ServerLiveRequest) (*pb.ServerLiveResponse, error) {
	return &pb.ServerLiveResponse{Live: true}, nil
}

// ServerReady answers false while the models are loaded, if too few answer, and once the server is
// stopping.
func (s *Service) ServerReady(context.Context, *pb.ServerReadyRequest) (*pb.ServerReadyResponse, error) {
	return &pb.ServerReadyResponse{Ready: s.models.Ready()}, nil
}

// ModelReady answers whether a model's version answers and the server takes requests. For an unknown model
// it answers false, like Triton, since clients poll until it is true.
func (s *Service) ModelReady(_ context.Context, req *pb.ModelReadyRequest) (*pb.ModelReadyResponse, error) {
	m, err := s.models.Get(req.GetName(), req.GetVersion())
	if err != nil {
		return &pb.ModelReadyResponse{}, nil
	}
	m.Release()
	return &pb.ModelReadyResponse{Ready: !s.models.Stopping()}, nil
}

// ServerMetadata returns the name of the server and its extensions.
func (s *Service) ServerMetadata(context.Context, *pb.ServerMetadataRequest) (*pb.ServerMetadataResponse, error) {
	return &pb.ServerMetadataResponse{Name: "forgo", Version: forgo.Version(), Extensions: extensions}, nil
}

// ModelMetadata returns a model's inputs and outputs.
func (s *Service) ModelMetadata(_ context.Context, req *pb.ModelMetadataRequest) (*pb.ModelMetadataResponse, error) {
	m, err := s.models.Get(req.GetName(), req.GetVersion())
	if err != nil {
		return nil, reply.RPC(err)
	}
	defer m.Release()
	list := func(tensors []tensorMetadata) []*pb.ModelMetadataResponse_TensorMetadata {
		var out []*pb.ModelMetadataResponse_TensorMetadata
		for _, e := range tensors {
			out = append(out, &pb.ModelMetadataResponse_TensorMetadata{Name: e.Name, Datatype: e.Datatype, Shape: e.Shape})
		}
		return out
	}
	inputs, outputs := metadata(m)
	return &pb.ModelMetadataResponse{
		Name: m.Name, Versions: versions(s.models, m.Name), Platform: m.Engine().Info.Format.Platform,
		Inputs: list(inputs), Outputs: list(outputs),
	}, nil
}

// ModelInfer runs a model. Outputs are raw, as from Triton, unless the request asks for no output as
// binary data.
func (s *Service) ModelInfer(ctx context.Context, req *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	m, err := s.models.Get(req.GetModelName(), req.GetModelVersion())
	if err != nil {
		return nil, reply.RPC(err)
	}
	defer m.Release()
	answer := &pb.ModelInferResponse{ModelName: m.Name, ModelVersion: m.Version, Id: req.GetId()}
	err = m.Do(ctx, observe.From(ctx), func(r *served.Request) error {
		r.Types = wire.Datatype
		c, err := fromProto(r, inputsOf(r.Model), req)
		if err != nil {
			return err
		}
		wanted, results, err := c.run(r)
		if err != nil {
			return err
		}
		return addOutputs(answer, m, wanted, results)
	})
	if err != nil {
		return nil, reply.RPC(err)
	}
	return answer, nil
}

//forgo:reader OIP gRPC raw
func fromProto(memory payload.Memory, m inputs, req *pb.ModelInferRequest) (*call, error) {
	raw := req.GetRawInputContents()
	if len(raw) > 0 && len(raw) != len(req.GetInputs()) {
		return nil, served.BadInput("raw_input_contents has %d elements for %d inputs", len(raw), len(req.GetInputs()))
	}
	if id := req.GetParameters()["sequence_id"]; id.GetInt64Param() != 0 || id.GetUint64Param() != 0 || id.GetStringParam() != "" {
		return nil, served.BadInput("parameters: %w", errNoSequences)
	}
	c := &call{binary: true}
	if err := c.setParameters(req.GetParameters()); err != nil {
		return nil, served.BadInput("parameters: %w", err)
	}
	for i, in := range req.GetInputs() {
		if err := m.tooMany(i); err != nil {
			return nil, served.BadInput("inputs: %w", err)
		}
		field := fmt.Sprintf("inputs[%d] %s", i, tensor.Quote(in.GetName()))
		if in.GetName() == "" {
			return nil, served.BadInput("inputs[%d]: it has no name", i)
		}
		d, err := wire.DType(in.GetDatatype())
		if err == nil {
			err = m.takes(in.GetName(), d, in.GetShape())
		}
		if err != nil {
			return nil, served.BadInput("%s: %w", field, err)
		}
		if err := noSharedMemory(in.GetParameters()); err != nil {
			return nil, served.BadInput("%s: parameters: %w", field, err)
		}
		if d == tensor.String {
			n := 4 * len(in.GetContents().GetBytesContents())
			if len(raw) > 0 {
				n = len(raw[i])
			}
			if err := memory.Grow(4 * int64(n)); err != nil { // 16 bytes for each
				return nil, err
			}
		}
		var t tensor.Tensor
		switch {
		case len(raw) > 0 && proto.Size(in.GetContents()) > 0: // MLServer sends empty ones beside raw data
			err = fmt.Errorf("contents field must not be specified when using raw_input_contents for '%s' for model '%s'",
				in.GetName(), req.GetModelName()) // Triton's words, which its examples look for
		case len(raw) > 0:
			t, err = tensor.FromBytes(d, raw[i], in.GetShape()...)
		default:
			t, err = wire.FromContents(d, in.GetContents(), in.GetShape())
		}
		if err != nil {
			return nil, served.BadInput("%s: %w", field, err)
		}
		read := input{name: in.GetName(), tensor: t}
		if err := read.decode(in.GetParameters()["content_type"].GetStringParam(), false); err != nil {
			return nil, served.BadInput("%s: %w", field, err)
		}
		c.inputs = append(c.inputs, read)
	}
	for i, o := range req.GetOutputs() {
		if err := noSharedMemory(o.GetParameters()); err != nil {
			return nil, served.BadInput("outputs[%d]: parameters: %w", i, err)
		}
		wanted := output{name: o.GetName(), binary: c.binary}
		if err := wanted.setParameters(o.GetParameters()); err != nil {
			return nil, served.BadInput("outputs[%d]: parameters: %w", i, err)
		}
		c.outputs = append(c.outputs, wanted)
	}
	return c, nil
}

// setParameters sets the parameters of a request.
func (c *call) setParameters(parameters map[string]*pb.InferParameter) error {
	if t, ok := parameters["timeout"]; ok {
		n, ok := t.GetParameterChoice().(*pb.InferParameter_Int64Param)
		if !ok {
			return errors.New("timeout: the value does not fit int64_param")
		}
		if err := c.setTimeout(n.Int64Param); err != nil {
			return fmt.Errorf("timeout: %w", err)
		}
	}
	return setBinary(&c.binary, parameters, "binary_data_output")
}

// setParameters sets the parameters of an output.
func (o *output) setParameters(parameters map[string]*pb.InferParameter) error {
	if p, ok := parameters["classification"]; ok {
		n, ok := p.GetParameterChoice().(*pb.InferParameter_Int64Param)
		if !ok {
			return errors.New("classification: the value does not fit int64_param")
		}
		if err := o.setClasses(n.Int64Param); err != nil {
			return fmt.Errorf("classification: %w", err)
		}
	}
	return setBinary(&o.binary, parameters, "binary_data")
}

// setBinary sets binary from the named parameter, if it is present.
func setBinary(binary *bool, parameters map[string]*pb.InferParameter, name string) error {
	p, ok := parameters[name]
	if !ok {
		return nil
	}
	b, ok := p.GetParameterChoice().(*pb.InferParameter_BoolParam)
	if !ok {
		return fmt.Errorf("%s: the value is not a bool_param", name)
	}
	*binary = b.BoolParam
	return nil
}

func noSharedMemory(parameters map[string]*pb.InferParameter) error {
	for name := range parameters {
		if strings.HasPrefix(name, "shared_memory") {
			return fmt.Errorf("%s: shared memory is not supported; send the data", name)
		}
	}
	return nil
}

// RepositoryIndex lists all known versions or only those that are ready.
func (s *Service) RepositoryIndex(_ context.Context, req *pb.RepositoryIndexRequest) (*pb.RepositoryIndexResponse, error) {
	answer := &pb.RepositoryIndexResponse{}
	for _, m := range s.models.Status() {
		if m.State == repository.Ready || !req.GetReady() {
			answer.Models = append(answer.Models, &pb.RepositoryIndexResponse_ModelIndex{
				Name: m.Name, Version: m.Version, State: string(m.State), Reason: m.Reason,
			})
		}
	}
	return answer, nil
}

// RepositoryModelLoad loads a model from its folder, even if it is already loaded.
func (s *Service) RepositoryModelLoad(ctx context.Context, req *pb.RepositoryModelLoadRequest) (*pb.RepositoryModelLoadResponse, error) {
	for name := range req.GetParameters() {
		return nil, reply.RPC(served.BadInput("parameters: %s: %w", name, errNoOverride))
	}
	return &pb.RepositoryModelLoadResponse{}, s.change(ctx, req.GetModelName(), Manager.Load)
}

// RepositoryModelUnload unloads all versions of a model.
func (s *Service) RepositoryModelUnload(ctx context.Context, req *pb.RepositoryModelUnloadRequest) (*pb.RepositoryModelUnloadResponse, error) {
	return &pb.RepositoryModelUnloadResponse{}, s.change(ctx, req.GetModelName(), Manager.Unload)
}

func (s *Service) change(ctx context.Context, name string, how func(Manager, context.Context, string) error) error {
	if s.manager == nil {
		return status.Error(codes.PermissionDenied, errNotHere.Error())
	}
	// The client may disconnect, but a change is never left half done.
	err := how(s.manager, context.WithoutCancel(ctx), name)
	switch {
	case errors.Is(err, repository.ErrFixed):
		return status.Error(codes.Unimplemented, err.Error())
	case err == nil || errors.Is(err, served.ErrNotFound):
		return reply.RPC(err)
	}
	return status.Error(codes.FailedPrecondition, err.Error()) // the bundle is at fault
}

// ModelStatistics returns the counts of calls of one model's versions or, without a name, of all.
func (s *Service) ModelStatistics(_ context.Context, req *pb.ModelStatisticsRequest) (*pb.ModelStatisticsResponse, error) {
	list, err := allStats(s.models, req.GetName(), req.GetVersion())
	if err != nil {
		return nil, reply.RPC(err)
	}
	answer := &pb.ModelStatisticsResponse{}
	for _, stats := range list {
		duration := func(d served.Duration) *pb.StatisticDuration {
			return &pb.StatisticDuration{Count: d.Count, Ns: uint64(d.NS)}
		}
		took := func(kind string) *pb.StatisticDuration { return duration(stats.InferenceStats[kind]) }
		var batches []*pb.InferBatchStatistics
		for _, b := range stats.BatchStats {
			batches = append(batches, &pb.InferBatchStatistics{
				BatchSize: uint64(b.Size), ComputeInput: duration(b.Input), ComputeInfer: duration(b.Infer), ComputeOutput: duration(b.Output),
			})
		}
		answer.ModelStats = append(answer.ModelStats, &pb.ModelStatistics{
			Name: stats.Name, Version: stats.Version, LastInference: uint64(stats.LastInference),
			InferenceCount: stats.InferenceCount, ExecutionCount: stats.ExecutionCount,
			InferenceStats: &pb.InferStatistics{
				Success: took("success"), Fail: took("fail"), Queue: took("queue"), ComputeInput: took("compute_input"),
				ComputeInfer: took("compute_infer"), ComputeOutput: took("compute_output"),
				CacheHit: took("cache_hit"), CacheMiss: took("cache_miss"),
			},
			BatchStats: batches,
		})
	}
	return answer, nil
}

// addOutputs adds the results to an answer. All are raw if one must be.
//
//forgo:writer OIP gRPC raw
//forgo:writer OIP gRPC typed
func addOutputs(answer *pb.ModelInferResponse, m *served.Model, wanted []output, results predict.Tensors) error {
	tensors, raw := make([]tensor.Tensor, len(wanted)), false
	for i, o := range wanted {
		var err error
		if tensors[i], err = o.of(m, results); err != nil {
			return err
		}
		d := tensors[i].DType()
		raw = raw || o.binary || d == tensor.Float16 || d == tensor.BFloat16
	}
	for i, o := range wanted {
		t := tensors[i]
		out := &pb.ModelInferResponse_InferOutputTensor{Name: o.name, Datatype: wire.Datatype(t.DType()), Shape: t.Shape}
		answer.Outputs = append(answer.Outputs, out)
		if !raw {
			out.Contents = wire.Contents(t)
			continue
		}
		data, err := t.Bytes()
		if err != nil {
			return fmt.Errorf("output %q: %w", o.name, err)
		}
		answer.RawOutputContents = append(answer.RawOutputContents, data)
	}
	return nil
}
