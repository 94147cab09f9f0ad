//go:build linux

package main

// Clients: each asks in one of five protocols for numbers that tell which content answered.

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
)

// patience is how long a client waits for an answer: far longer than a busy machine needs.
const patience = time.Minute

// lost is the status of a request that was not answered.
const lost = 0

// wrong is the content of an answer that no content gives.
const wrong = -1

// client asks one process; another process has other clients.
type client struct {
	at   addresses
	http *http.Client
	grpc *grpc.ClientConn
}

func newClient(at addresses) (*client, error) {
	conn, err := grpc.NewClient(at.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: patience}).DialContext, MaxIdleConnsPerHost: 4}
	return &client{at, &http.Client{Transport: transport, Timeout: patience}, conn}, nil
}

func (c *client) close() {
	c.http.CloseIdleConnections()
	_ = c.grpc.Close()
}

// question is one request.
type question struct {
	protocol, model, version, label string
	rows                            [][]float32
}

// protocols are asked in turn; labels and versions where they can be named.
var protocols = []string{"oip_http", "oip_grpc", "tfserving", "tfserving_grpc", "native"}

// newQuestion draws one. Only some protocols name versions and labels.
func newQuestion(chance *rand.Rand, models []string, versions int) question {
	q := question{protocol: protocols[chance.IntN(len(protocols))], model: models[chance.IntN(len(models))]}
	for range 1 + chance.IntN(4) {
		row := make([]float32, columns)
		for i := range row {
			row[i] = float32(chance.IntN(2000) - 1000)
		}
		q.rows = append(q.rows, row)
	}
	named := chance.IntN(4)
	switch {
	case named == 0 && q.protocol != "native":
		q.version = fmt.Sprint(1 + chance.IntN(versions))
	case named == 1 && strings.HasPrefix(q.protocol, "tfserving"):
		q.label = []string{"stable", "canary"}[chance.IntN(2)]
	}
	return q
}

// ask records what comes of a question.
func (c *client) ask(ctx context.Context, r *record, q question) Event {
	e := Event{Kind: Answer, Model: q.model, Protocol: q.protocol, Version: q.version, Label: q.label, Start: r.now()}
	var got []float32
	switch q.protocol {
	case "oip_grpc", "tfserving_grpc":
		got = c.overGRPC(ctx, q, &e)
	default:
		got = c.overHTTP(ctx, q, &e)
	}
	e.End = r.now()
	if e.Status == http.StatusOK {
		if e.Content = tell(q, got); e.Content == wrong {
			e.Detail = fmt.Sprintf("%v to %v", got, q.rows)
		}
	}
	r.add(e)
	return e
}

// tell returns the content that gives these answers.
func tell(q question, got []float32) int {
	if len(got) != len(q.rows)*columns {
		return wrong
	}
	k := int(got[0] - answer(0, q.rows[0][0]))
	for i, y := range got {
		if y != answer(k, q.rows[i/columns][i%columns]) {
			return wrong
		}
	}
	return max(k, wrong)
}

func flat(rows [][]float32) (all []float32) {
	for _, row := range rows {
		all = append(all, row...)
	}
	return all
}

func (c *client) overHTTP(ctx context.Context, q question, e *Event) []float32 {
	var path string
	var body any
	var said struct {
		Version     string                     `json:"model_version"`
		Predictions [][]float32                `json:"predictions"`
		Outputs     []struct{ Data []float32 } `json:"outputs"`
	}
	switch q.protocol {
	case "oip_http":
		path = "/v2/models/" + q.model
		if q.version != "" {
			path += "/versions/" + q.version
		}
		path += "/infer"
		body = map[string]any{"inputs": []any{map[string]any{"name": "x", "datatype": "FP32", "shape": []int{len(q.rows), columns}, "data": flat(q.rows)}}}
	case "tfserving":
		path = "/v1/models/" + q.model
		if q.version != "" {
			path += "/versions/" + q.version
		} else if q.label != "" {
			path += "/labels/" + q.label
		}
		path += ":predict"
		body = map[string]any{"instances": q.rows}
	default:
		path, body = "/models/"+q.model, q.rows
	}
	raw := c.exchange(ctx, http.MethodPost, "http://"+c.at.http+path, body, e)
	if e.Status != http.StatusOK {
		return nil
	}
	if q.protocol == "native" {
		var list []struct{ Outputs map[string][]float32 }
		if err := json.Unmarshal(raw, &list); err != nil {
			e.Detail = fmt.Sprintf("%s: %v", raw, err)
			return nil
		}
		var got []float32
		for _, a := range list {
			got = append(got, a.Outputs["y"]...)
		}
		return got
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		e.Detail = fmt.Sprintf("%s: %v", raw, err)
		return nil
	}
	e.Said = said.Version
	if len(said.Outputs) == 1 {
		return said.Outputs[0].Data
	}
	return flat(said.Predictions)
}

// exchange notes the status of a request, and what it says where that is no 200.
func (c *client) exchange(ctx context.Context, method, url string, body any, e *Event) []byte {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			panic(err) // numbers and strings alone
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		panic(err) // the addresses are this program's own
	}
	resp, err := c.http.Do(req)
	if err != nil {
		e.Status, e.Detail = lost, err.Error()
		return nil
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		e.Status, e.Detail = lost, err.Error()
		return nil
	}
	if e.Status = resp.StatusCode; e.Status != http.StatusOK {
		e.Detail = string(raw)
	}
	return raw
}

// statuses are what HTTP says in place of a gRPC code.
var statuses = map[codes.Code]int{
	codes.OK: 200, codes.InvalidArgument: 400, codes.NotFound: 404, codes.ResourceExhausted: 429,
	codes.Canceled: 499, codes.Unavailable: 503, codes.DeadlineExceeded: 504, codes.Unimplemented: 501,
}

func (c *client) overGRPC(ctx context.Context, q question, e *Event) []float32 {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var got []float32
	var err error
	if q.protocol == "oip_grpc" {
		var a *pb.ModelInferResponse
		a, err = pb.NewGRPCInferenceServiceClient(c.grpc).ModelInfer(ctx, &pb.ModelInferRequest{
			ModelName: q.model, ModelVersion: q.version, Inputs: []*pb.ModelInferRequest_InferInputTensor{{
				Name: "x", Datatype: "FP32", Shape: []int64{int64(len(q.rows)), columns}, Contents: &pb.InferTensorContents{Fp32Contents: flat(q.rows)},
			}},
		})
		if err == nil {
			e.Said = a.ModelVersion
			got = floats(a)
		}
	} else {
		spec := &tfpb.ModelSpec{Name: q.model}
		if q.version != "" {
			var n int64
			_, _ = fmt.Sscan(q.version, &n)
			spec.VersionChoice = &tfpb.ModelSpec_Version{Version: wrapperspb.Int64(n)}
		} else if q.label != "" {
			spec.VersionChoice = &tfpb.ModelSpec_VersionLabel{VersionLabel: q.label}
		}
		var a *tfpb.PredictResponse
		a, err = tfpb.NewPredictionServiceClient(c.grpc).Predict(ctx, &tfpb.PredictRequest{ModelSpec: spec, Inputs: map[string]*tfpb.TensorProto{"x": {
			Dtype: tfpb.DataType_DT_FLOAT, FloatVal: flat(q.rows),
			TensorShape: &tfpb.TensorShapeProto{Dim: []*tfpb.TensorShapeProto_Dim{{Size: int64(len(q.rows))}, {Size: columns}}},
		}}})
		if err == nil {
			e.Said = fmt.Sprint(a.GetModelSpec().GetVersion().GetValue())
			got = tfFloats(a.Outputs["y"])
		}
	}
	if err != nil {
		s := status.Convert(err)
		e.Detail = s.Code().String() + ": " + s.Message()
		var known bool
		if e.Status, known = statuses[s.Code()]; !known {
			e.Status = 500
		}
		if s.Code() == codes.InvalidArgument && strings.HasPrefix(s.Message(), "model_spec: version_label:") {
			e.Status = http.StatusNotFound // which TensorFlow Serving calls so
		}
		// What the server says of a model names it, or its engine; the rest comes from this side's transport.
		if s.Code() == codes.Unavailable && !strings.Contains(s.Message(), q.model) && !strings.Contains(s.Message(), "engine has ended") {
			e.Status = lost
		}
		return nil
	}
	e.Status = http.StatusOK
	return got
}

// isReady records whether the server says that it is.
func (c *client) isReady(ctx context.Context, r *record) Event {
	e := Event{Kind: Ready, Start: r.now()}
	_ = c.exchange(ctx, http.MethodGet, "http://"+c.at.http+"/v2/health/ready", nil, &e)
	e.End = r.now()
	r.add(e)
	return e
}

// change asks for a load or an unload and records what came of it.
func (c *client) change(ctx context.Context, r *record, kind Kind, model string) Event {
	e := Event{Kind: kind, Model: model, Start: r.now()}
	_ = c.exchange(ctx, http.MethodPost, fmt.Sprintf("http://%s/v2/repository/models/%s/%s", c.at.admin, model, kind), nil, &e)
	e.End = r.now()
	r.add(e)
	return e
}

// rude begins a request and goes away in the middle of it, or stays and says no more.
func rude(ctx context.Context, at addresses, chance *rand.Rand) error {
	address := []string{at.http, at.grpc, at.admin}[chance.IntN(3)]
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil //nolint:nilerr // there may be no server now
	}
	defer conn.Close()
	whole := "POST /models/m0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n[[1,2,3]]"
	if address == at.grpc {
		whole = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x01"
	}
	if _, err := io.WriteString(conn, whole[:chance.IntN(len(whole))]); err != nil && !errors.Is(err, net.ErrClosed) {
		return nil //nolint:nilerr // it may have hung up already
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(chance.IntN(500)) * time.Millisecond):
	}
	return nil
}

// floats are the one output's, however it is sent.
func floats(a *pb.ModelInferResponse) []float32 {
	if len(a.RawOutputContents) == 1 {
		return littleEndian(a.RawOutputContents[0])
	}
	if len(a.Outputs) == 1 {
		return a.Outputs[0].GetContents().GetFp32Contents()
	}
	return nil
}

func tfFloats(t *tfpb.TensorProto) []float32 {
	if raw := t.GetTensorContent(); len(raw) > 0 {
		return littleEndian(raw)
	}
	return t.GetFloatVal()
}

func littleEndian(raw []byte) []float32 {
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}
