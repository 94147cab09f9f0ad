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

// manager loads and unloads models, on the operators' port alone.
func manager(s protocol.Server) Manager {
	if s.Operators {
		return s.Models
	}
	return nil
}

// ofModel is the path of a model that ends in what is done with it.
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

// compresses is false for what Triton does not compress either: its asyncio client asks for compressed
// answers always, and decompresses those of infer alone, and no errors.
func compresses(path string) bool { return path == "/v2" || strings.HasSuffix(path, "/infer") }
