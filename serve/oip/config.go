package oip

// The model configuration extension, which Triton's clients call first.

import (
	"context"
	"net/http"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/serve/internal/reply"
	"github.com/forgo-ml/forgo/serve/internal/served"
)

// configOf describes a model in Triton's terms. max_batch_size is the number of rows from waiting requests
// that run together. A request with more rows runs by itself, in parts.
func configOf(m *served.Model) *pb.ModelConfig {
	stats, manifest, graph := m.Stats(), m.Manifest(), m.Engine().Info.Format
	inputs, outputs := metadata(m)
	batch := int32(stats.MaxBatchRows)
	for _, e := range append(inputs, outputs...) {
		if len(e.Shape) == 0 || e.Shape[0] >= 0 { // no batch to leave out
			batch = 0
		}
	}
	dims := func(e tensorMetadata) []int64 {
		if batch > 0 {
			return e.Shape[1:]
		}
		return e.Shape
	}
	c := &pb.ModelConfig{
		Name: m.Name, Platform: graph.TritonPlatform, Backend: graph.TritonBackend, MaxBatchSize: batch,
		InstanceGroup:          []*pb.ModelInstanceGroup{{Name: m.Name, Kind: pb.ModelInstanceGroup_KIND_CPU, Count: int32(stats.Instances)}},
		DefaultModelFilename:   manifest.Graph.Path,
		Parameters:             map[string]*pb.ModelParameter{"digest": {StringValue: m.Digest()}},
		ModelTransactionPolicy: &pb.ModelTransactionPolicy{},
	}
	for _, e := range inputs {
		c.Input = append(c.Input, &pb.ModelInput{Name: e.Name, DataType: configType(e.Datatype), Format: format(dims(e)), Dims: dims(e)})
	}
	for _, e := range outputs {
		c.Output = append(c.Output, &pb.ModelOutput{Name: e.Name, DataType: configType(e.Datatype), Dims: dims(e)})
	}
	if batch > 1 {
		c.SchedulingChoice = &pb.ModelConfig_DynamicBatching{DynamicBatching: &pb.ModelDynamicBatching{
			MaxQueueDelayMicroseconds: uint64(stats.MaxDelay.Microseconds()),
		}}
	}
	return c
}

// configType returns a configuration's name for a datatype.
func configType(datatype string) pb.DataType {
	if datatype == "BYTES" {
		return pb.DataType_TYPE_STRING
	}
	return pb.DataType(pb.DataType_value["TYPE_"+datatype])
}

// format returns where a picture's tensor has its channels, if its sizes determine that.
func format(dims []int64) pb.ModelInput_Format {
	if len(dims) != 3 {
		return pb.ModelInput_FORMAT_NONE
	}
	channels := func(size int64) bool { return size == 1 || size == 3 }
	switch first, last := channels(dims[0]), channels(dims[2]); {
	case last && !first:
		return pb.ModelInput_FORMAT_NHWC
	case first && !last:
		return pb.ModelInput_FORMAT_NCHW
	}
	return pb.ModelInput_FORMAT_NONE
}

// ModelConfig describes a model as Triton's configuration would.
func (s *Service) ModelConfig(_ context.Context, req *pb.ModelConfigRequest) (*pb.ModelConfigResponse, error) {
	m, err := s.models.Get(req.GetName(), req.GetVersion())
	if err != nil {
		return nil, reply.RPC(err)
	}
	defer m.Release()
	return &pb.ModelConfigResponse{Config: configOf(m)}, nil
}

func (h handler) config(w http.ResponseWriter, _ *http.Request, m *served.Model) {
	reply.JSON(w, http.StatusOK, plain(configOf(m).ProtoReflect()))
}

// plain returns a message as Triton writes it in JSON: with the fields' own names, enums by name and
// 64-bit numbers as numbers. Empty fields are included, except for missing messages.
func plain(m protoreflect.Message) map[string]any {
	object := map[string]any{}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.HasPresence() && !m.Has(f) {
			continue
		}
		value := m.Get(f)
		switch {
		case f.IsMap():
			entries := map[string]any{}
			value.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
				entries[key.String()] = plainValue(f.MapValue(), v)
				return true
			})
			object[string(f.Name())] = entries
		case f.IsList():
			items := make([]any, value.List().Len())
			for i := range items {
				items[i] = plainValue(f, value.List().Get(i))
			}
			object[string(f.Name())] = items
		default:
			object[string(f.Name())] = plainValue(f, value)
		}
	}
	return object
}

func plainValue(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return plain(v.Message())
	case protoreflect.EnumKind:
		return f.Enum().Values().ByNumber(v.Enum()).Name()
	}
	return v.Interface()
}
