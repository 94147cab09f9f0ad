package serve_test

// What was sent is quoted in part: neither an answer nor a line of the log is as long as what it refuses.

import (
	"net/http"
	"strings"
	"testing"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"google.golang.org/grpc"

	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
	"google.golang.org/grpc/credentials/insecure"
)

func TestRefusalsQuoteLittle(t *testing.T) {
	s := servetest.RunWith(t, servetest.Committed(t), serve.Options{}, serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort})
	long, digits := strings.Repeat("x", 200<<10), strings.Repeat("1", 200<<10)
	input := `{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}`
	for name, c := range map[string]struct{ path, kind, body string }{
		"a number":               {"/models/iris", "", "[" + digits + ",1,1,1]"},
		"a number of another":    {"/v1/models/iris:predict", "", `{"instances":[[` + digits + `,1,1,1]]}`},
		"a string for a number":  {"/models/iris", "", `["` + long + `",1,1,1]`},
		"a key":                  {"/models/iris", "", `{"` + long + `":1}`},
		"a column":               {"/models/iris", "text/csv", long + ",a,b,c\n1,2,3,4\n"},
		"a cell":                 {"/models/iris", "text/csv", "input[0],input[1],input[2],input[3]\n" + long + ",1,1,1\n"},
		"an input's name":        {"/v2/models/iris/infer", "", `{"inputs":[{"name":"` + long + `","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}`},
		"a datatype":             {"/v2/models/iris/infer", "", `{"inputs":[{"name":"input","datatype":"` + long + `","shape":[1,4],"data":[1,2,3,4]}]}`},
		"a shape":                {"/v2/models/iris/infer", "", `{"inputs":[{"name":"input","datatype":"FP32","shape":[` + strings.Repeat("1,", 50<<10) + `4],"data":[1,2,3,4]}]}`},
		"a size":                 {"/v2/models/iris/infer", "", `{"inputs":[{"name":"input","datatype":"FP32","shape":[` + digits + `],"data":[1,2,3,4]}]}`},
		"an output's name":       {"/v2/models/iris/infer", "", `{"inputs":[` + input + `],"outputs":[{"name":"` + long + `"}]}`},
		"a parameter":            {"/v2/models/iris/infer", "", `{"inputs":[` + input + `],"parameters":{"timeout":"` + long + `"}}`},
		"a signature":            {"/v1/models/iris:predict", "", `{"signature_name":"` + long + `","instances":[[1,2,3,4]]}`},
		"a model":                {"/v2/models/" + long[:40<<10] + "/infer", "", "{}"},
		"a version":              {"/v2/models/iris/versions/" + digits[:40<<10] + "/infer", "", "{}"},
		"a label":                {"/v1/models/iris/labels/" + long[:40<<10] + ":predict", "", "{}"},
		"what is no JSON at all": {"/models/iris", "", long},
	} {
		status, _, answer := servetest.Exchange(t, http.MethodPost, s.Addresses["url"]+c.path, []byte(c.body), "Content-Type", c.kind)
		if status < 400 || status >= 500 || len(answer) > 2000 {
			t.Errorf("%s: %d, an answer of %d bytes: %.200s", name, status, len(answer), answer)
		}
	}
	conn, err := grpc.NewClient(s.Addresses["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	infer := func(change func(*pb.ModelInferRequest)) error {
		r := servetest.IrisRequest(1, 2, 3, 4)
		change(r)
		_, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(t.Context(), r)
		return err
	}
	predict := func(change func(*tfpb.PredictRequest)) error {
		r := servetest.PredictIris(1, 2, 3, 4)
		change(r)
		_, err := tfpb.NewPredictionServiceClient(conn).Predict(t.Context(), r)
		return err
	}
	for name, err := range map[string]error{
		"a model":    infer(func(r *pb.ModelInferRequest) { r.ModelName = long }),
		"an input":   infer(func(r *pb.ModelInferRequest) { r.Inputs[0].Name = long }),
		"a datatype": infer(func(r *pb.ModelInferRequest) { r.Inputs[0].Datatype = long }),
		"a shape":    infer(func(r *pb.ModelInferRequest) { r.Inputs[0].Shape = make([]int64, 50<<10) }),
		"an output": infer(func(r *pb.ModelInferRequest) {
			r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: long}}
		}),
		"a signature":      predict(func(r *tfpb.PredictRequest) { r.ModelSpec.SignatureName = long }),
		"an output filter": predict(func(r *tfpb.PredictRequest) { r.OutputFilter = []string{long} }),
		"another's input":  predict(func(r *tfpb.PredictRequest) { r.Inputs[long] = r.Inputs["input"] }),
	} {
		if err == nil || len(err.Error()) > 2000 {
			t.Errorf("%s over gRPC: %.200v", name, err)
		}
	}
	for line := range strings.Lines(s.Log.String()) {
		if len(line) > 4000 {
			t.Errorf("a line of the log has %d bytes: %.300s", len(line), line)
		}
	}
}
