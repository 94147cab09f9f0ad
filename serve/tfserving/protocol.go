package tfserving

import (
	"net/http"

	"github.com/forgo-ml/forgo/client/replay"
	pb "github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/serve/protocol"
)

// Protocol is TensorFlow Serving's API, over REST and gRPC.
var Protocol = protocol.Protocol{
	HTTP: protocol.HTTP{
		Name: "tfserving", Prefix: "/v1", OpenAPI: document,
		Handler: func(s protocol.Server) http.Handler { return Handler(s.Models) },
		Direct:  func(s protocol.Server) func(http.ResponseWriter, *http.Request) bool { return direct(s.Models) },
	},
	GRPC: protocol.GRPC{Name: "tfserving_grpc", Services: []protocol.Service{
		{
			Description: &pb.PredictionService_ServiceDesc,
			New:         func(s protocol.Server) any { return NewPredictionService(s.Models, s.MaxBody) },
			Purposes:    map[string]protocol.Purpose{"Predict": protocol.Infer, "Classify": protocol.Infer, "Regress": protocol.Infer},
		},
		{
			Description: &pb.ModelService_ServiceDesc,
			New:         func(s protocol.Server) any { return NewModelService(s.Models) },
		},
	}},
	Replays: []replay.Protocol{Replay, ReplayGRPC},
}
