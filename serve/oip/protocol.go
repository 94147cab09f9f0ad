package oip

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/forgo-ml/forgo/client/replay"
	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/serve/protocol"
)

// Protocol is the Open Inference Protocol, over REST and gRPC.
var Protocol = protocol.Protocol{
	HTTP: protocol.HTTP{
		Name: "oip_http", Prefix: "/v2", Operators: true, Purpose: purpose, Compress: compresses, OpenAPI: document,
		Handler: func(s protocol.Server) http.Handler { return Handler(s.Models, manager(s)) },
		Direct:  func(s protocol.Server) func(http.ResponseWriter, *http.Request) bool { return direct(s.Models) },
	},
	GRPC: protocol.GRPC{Name: "oip_grpc", Services: []protocol.Service{{
		Description: &pb.GRPCInferenceService_ServiceDesc,
		New:         func(s protocol.Server) any { return NewService(s.Models, manager(s)) },
		Purposes: map[string]protocol.Purpose{
			"ServerLive": protocol.Probe, "ServerReady": protocol.Probe, "ModelReady": protocol.Probe, "ModelInfer": protocol.Infer,
		},
	}}},
	Replays: []replay.Protocol{Replay, ReplayGRPC},
}

// manager returns what loads and unloads models, or nil except on the operators' port.
func manager(s protocol.Server) Manager {
	if s.Operators {
		return s.Models
	}
	return nil
}

// ofModel matches a path that ends in an action on a model.
var ofModel = regexp.MustCompile(`^/v2/models/[^/]*(?:/versions/[^/]*)?/(ready|infer)$`)

func purpose(path string) protocol.Purpose {
	m := ofModel.FindStringSubmatch(path)
	switch {
	case path == "/v2/health/live", path == "/v2/health/ready", m != nil && m[1] == "ready":
		return protocol.Probe
	case m != nil:
		return protocol.Infer
	}
	return protocol.Manage
}

// compresses returns false for answers that Triton does not compress either. Its asyncio client always
// asks for compression, but decompresses only the answers of infer, and no errors.
func compresses(path string) bool { return path == "/v2" || strings.HasSuffix(path, "/infer") }
