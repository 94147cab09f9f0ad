package client

// The protocol over gRPC.

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/wire"
	"github.com/forgo-ml/forgo/predict/tensor"
)

type rpc struct {
	conn  *grpc.ClientConn
	calls pb.GRPCInferenceServiceClient
	o     Options
}

func newRPC(u *url.URL, o Options) (*rpc, error) {
	creds := insecure.NewCredentials()
	if u.Scheme == "grpcs" {
		creds = credentials.NewTLS(o.TLS)
	}
	conn, err := grpc.NewClient(u.Host,
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(o.MaxAnswer)), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	)
	if err != nil {
		return nil, fmt.Errorf("server URL: %w", err)
	}
	return &rpc{conn, pb.NewGRPCInferenceServiceClient(conn), o}, nil
}

func (r *rpc) close() error { return r.conn.Close() }

// with adds the client's header to a call.
func (r *rpc) with(ctx context.Context) context.Context {
	for name, values := range r.o.Header {
		for _, v := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, name, v)
		}
	}
	return ctx
}

func (r *rpc) ready(ctx context.Context, m model) error {
	var answer interface{ GetReady() bool }
	var err error
	call := "ModelReady"
	if m.name == "" {
		call = "ServerReady"
		answer, err = r.calls.ServerReady(r.with(ctx), &pb.ServerReadyRequest{})
	} else {
		answer, err = r.calls.ModelReady(r.with(ctx), &pb.ModelReadyRequest{Name: m.name, Version: m.version})
	}
	if err == nil && !answer.GetReady() {
		return &Error{Call: call, Code: grpcCode(codes.OK), Message: "not ready", kind: ErrUnavailable}
	}
	return codeError(call, err)
}

func (r *rpc) server(ctx context.Context) (Server, error) {
	said, err := r.calls.ServerMetadata(r.with(ctx), &pb.ServerMetadataRequest{})
	return Server{said.GetName(), said.GetVersion(), said.GetExtensions()}, codeError("ServerMetadata", err)
}

func (r *rpc) metadata(ctx context.Context, m model) (Metadata, error) {
	said, err := r.calls.ModelMetadata(r.with(ctx), &pb.ModelMetadataRequest{Name: m.name, Version: m.version})
	if err != nil {
		return Metadata{}, codeError("ModelMetadata", err)
	}
	specs := func(list []*pb.ModelMetadataResponse_TensorMetadata) []tensor.Spec {
		var out []tensor.Spec
		for _, e := range list {
			out = append(out, spec(e.GetName(), e.GetDatatype(), e.GetShape()))
		}
		return out
	}
	return Metadata{
		Name: said.GetName(), Versions: said.GetVersions(), Platform: said.GetPlatform(),
		Inputs: specs(said.GetInputs()), Outputs: specs(said.GetOutputs()),
	}, nil
}

func (r *rpc) infer(ctx context.Context, m model, inputs tensor.Map) (answer, error) {
	return r.inferOutputs(ctx, m, inputs)
}

// inferOutputs asks for some outputs; for none it asks for all.
func (r *rpc) inferOutputs(ctx context.Context, m model, inputs tensor.Map, outputs ...*pb.ModelInferRequest_InferRequestedOutputTensor) (answer, error) {
	req := &pb.ModelInferRequest{ModelName: m.name, ModelVersion: m.version, Outputs: outputs}
	if r.o.Plain { // forgo's server, like Triton, answers raw unless it is told otherwise
		req.Parameters = map[string]*pb.InferParameter{
			"binary_data_output": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: false}},
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		t := inputs[name]
		if err := t.Check(); err != nil {
			return answer{}, fmt.Errorf("infer: input %q: %w", name, err)
		}
		in := &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: wire.Datatype(t.DType()), Shape: t.Shape}
		req.Inputs = append(req.Inputs, in)
		if r.o.Plain {
			if d := t.DType(); d == tensor.Float16 || d == tensor.BFloat16 {
				return answer{}, fmt.Errorf("infer: input %q: typed contents cannot carry %s", name, wire.Datatype(d))
			}
			in.Contents = wire.Contents(t)
			continue
		}
		raw, err := t.Bytes()
		if err != nil {
			return answer{}, fmt.Errorf("infer: input %q: %w", name, err)
		}
		req.RawInputContents = append(req.RawInputContents, raw)
	}
	resp, err := r.calls.ModelInfer(r.with(ctx), req)
	if err != nil {
		return answer{}, codeError("ModelInfer", err)
	}
	a := answer{version: resp.GetModelVersion(), outputs: tensor.Map{}}
	raw := resp.GetRawOutputContents()
	if len(raw) > 0 && len(raw) != len(resp.GetOutputs()) {
		return answer{}, fmt.Errorf("ModelInfer: the answer has %d raw contents for %d outputs", len(raw), len(resp.GetOutputs()))
	}
	for i, o := range resp.GetOutputs() {
		d, err := wire.DType(o.GetDatatype())
		var t tensor.Tensor
		switch {
		case err != nil:
		case len(raw) > 0:
			t, err = tensor.FromBytes(d, raw[i], o.GetShape()...)
		default:
			t, err = wire.FromContents(d, o.GetContents(), o.GetShape())
		}
		if err != nil {
			return answer{}, fmt.Errorf("ModelInfer: output %q of the answer: %w", o.GetName(), err)
		}
		a.outputs[o.GetName()] = t
	}
	return a, nil
}
