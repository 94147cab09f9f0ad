package serve_test

// Whatever bytes come over a connection, the server answers or hangs up, and goes on answering others.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/forgo-ml/forgo/internal/corpus"
	"github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

// noPanics is a log that fails a fuzz target where the server recovered from a panic.
type noPanics struct{ said chan string }

func (n noPanics) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(`"msg":"panic"`)) {
		select {
		case n.said <- string(b):
		default:
		}
	}
	return len(b), nil
}

func (n noPanics) check(t *testing.T) {
	t.Helper()
	select {
	case said := <-n.said:
		t.Fatal(said)
	default:
	}
}

// asBytesCodec sends and receives messages as they are.
type asBytesCodec struct{}

func (asBytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (asBytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (asBytesCodec) Name() string { return "proto" }

var _ encoding.CodecV2 = asBytesCodec{}

// FuzzInferMessage sends bytes as the message of a call, which a client's own code would not let through.
func FuzzInferMessage(f *testing.F) {
	corpus.Add(f)
	log := noPanics{make(chan string, 1)}
	models := servetest.Committed(f)
	models["strings"], models["halves"] = servetest.GraphModel(f, "same-string"), servetest.GraphModel(f, "same-float16")
	conn := servetest.DialGRPC(f, serve.New(models, serve.Options{MaxBody: servetest.MaxBody, Log: slog.New(slog.NewJSONHandler(log, nil))}))
	add := func(req proto.Message) {
		message, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message, uint8(0))
	}
	good := servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)
	add(good)
	raw := servetest.IrisRequest()
	raw.RawInputContents = [][]byte{make([]byte, 16)}
	raw.Inputs[0].Contents = nil
	add(raw)
	add(&oippb.ModelInferRequest{ModelName: "strings", ModelVersion: "1", Id: "x", Inputs: []*oippb.ModelInferRequest_InferInputTensor{{
		Name: "x", Datatype: "BYTES", Shape: []int64{1, 2}, Contents: &oippb.InferTensorContents{BytesContents: [][]byte{[]byte("a"), nil}},
	}}})
	add(&oippb.ModelInferRequest{ModelName: "iris", Outputs: []*oippb.ModelInferRequest_InferRequestedOutputTensor{{Name: "probabilities"}}})
	f.Add([]byte("\x0a\x04iris\x2a\x00\x2a\xff\xff\xff\xff\x0f"), uint8(1))
	f.Add([]byte{}, uint8(2))
	methods := []string{
		"/inference.GRPCInferenceService/ModelInfer", "/inference.GRPCInferenceService/ModelMetadata", "/inference.GRPCInferenceService/RepositoryIndex",
		"/tensorflow.serving.PredictionService/Predict", "/tensorflow.serving.PredictionService/Classify", "/tensorflow.serving.PredictionService/GetModelMetadata",
	}
	f.Fuzz(func(t *testing.T, message []byte, method uint8) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var answer []byte
		err := conn.Invoke(ctx, methods[int(method)%len(methods)], message, &answer, grpc.ForceCodecV2(asBytesCodec{}))
		switch status.Code(err) {
		case codes.OK, codes.InvalidArgument, codes.NotFound, codes.ResourceExhausted, codes.Unimplemented:
		case codes.Internal: // what is no message at all is gRPC's own to refuse
			if !strings.Contains(err.Error(), "unmarshal") {
				t.Fatalf("%v to %q", err, message)
			}
		default:
			t.Fatalf("%v to %q", err, message)
		}
		log.check(t)
		if _, err := oippb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, good); err != nil {
			t.Fatalf("a good call after %q: %v", message, err)
		}
	})
}

// spoken sends bytes over a connection and returns what is answered until the server hangs up, which it must do.
func spoken(t *testing.T, address string, sent []byte) []byte {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte, 1)
	go func() {
		answer, err := io.ReadAll(conn)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			answer = nil
		} else if answer == nil {
			answer = []byte{}
		}
		read <- answer
	}()
	_, _ = conn.Write(sent) // the server may have hung up
	_ = conn.(*net.TCPConn).CloseWrite()
	answer := <-read
	if answer == nil {
		t.Fatalf("the server does not hang up after %q", sent)
	}
	return answer
}

// FuzzHTTPConnection sends bytes to the port for clients and the one for operators.
func FuzzHTTPConnection(f *testing.F) {
	corpus.Add(f)
	log := noPanics{make(chan string, 1)}
	at := unlogged(f, servetest.Committed(f), serve.Options{MaxBody: servetest.MaxBody, ClientTimeout: time.Second}, log)
	row := "[5.1,3.5,1.4,0.2]"
	post := func(path, more, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s", path, more, body)
	}
	for _, seed := range []string{
		post("/models/iris", "Content-Length: 17\r\n", row),
		post("/models/iris", "Transfer-Encoding: chunked\r\n", "11\r\n"+row+"\r\n0\r\n\r\n"),
		post("/models/iris", "Content-Length: 17\r\nTransfer-Encoding: chunked\r\n", row),
		post("/models/iris", "Content-Length: 17\r\nContent-Length: 18\r\n", row),
		post("/models/iris", "Content-Length: 17\r\nExpect: 100-continue\r\n", row) + post("/v1/models/iris:predict", "Content-Length: 0\r\n", ""),
		post("/v2/models/iris/infer", "Content-Length: 2\r\nInference-Header-Content-Length: 9999999999\r\n", "{}"),
		post("/v2/models/iris/infer", "Content-Length: 2\r\nGrpc-Timeout: 1n\r\n", "{}"),
		"GET / HTTP/1.0\r\n\r\n", "GET /docs HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"HEAD /v2/health/ready HTTP/1.1\r\nHost: localhost\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", http2.ClientPreface, "\x16\x03\x01\x00\x01\x01", "",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, sent []byte, admin bool) {
		folder := "http"
		if admin {
			folder = "admin"
		}
		answer := bufio.NewReader(bytes.NewReader(spoken(t, at[folder], sent)))
		for {
			if next, err := answer.Peek(5); err != nil || string(next) != "HTTP/" {
				break // an answer in HTTP/2, to HTTP/2
			}
			resp, err := http.ReadResponse(answer, nil)
			if err != nil {
				t.Fatalf("%q is answered by no HTTP: %v", sent, err)
			}
			if resp.StatusCode >= 500 && !slices.Contains([]int{501, 503, 504, 505}, resp.StatusCode) {
				t.Fatalf("%q is answered by %s", sent, resp.Status)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				break // of an answer to HEAD, or one that is cut off
			}
			if resp.StatusCode == http.StatusOK && strings.HasPrefix(string(sent), "HEAD") {
				break // whose length is that of a body which is not sent
			}
		}
		log.check(t)
		if code, _, body := servetest.Exchange(t, "POST", at["url"]+"/models/iris", []byte(row)); code != http.StatusOK {
			t.Fatalf("a good request after %q: %d %s", sent, code, body)
		}
	})
}

// FuzzGRPCConnection sends frames of HTTP/2 to the port for gRPC, after the greeting and a call's headers.
func FuzzGRPCConnection(f *testing.F) {
	corpus.Add(f)
	log := noPanics{make(chan string, 1)}
	at := unlogged(f, servetest.Committed(f), serve.Options{MaxBody: servetest.MaxBody, ClientTimeout: time.Second}, log)
	conn := servetest.Connect(f, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", at["grpc"])
	})
	good := servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)
	message, err := proto.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	var headers bytes.Buffer
	h := hpack.NewEncoder(&headers)
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", "/inference.GRPCInferenceService/ModelInfer"},
		{":authority", "localhost"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		if err := h.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			f.Fatal(err)
		}
	}
	frames := func(write func(*http2.Framer)) []byte {
		var b bytes.Buffer
		framer := http2.NewFramer(&b, nil)
		framer.AllowIllegalWrites = true
		write(framer)
		return b.Bytes()
	}
	call := func(w *http2.Framer, data []byte) {
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers.Bytes(), EndHeaders: true})
		_ = w.WriteData(1, true, data)
	}
	whole := append([]byte{0, 0, 0, 0, byte(len(message))}, message...)
	for _, write := range []func(*http2.Framer){
		func(w *http2.Framer) { call(w, whole) },
		func(w *http2.Framer) { call(w, whole[:9]) },
		func(w *http2.Framer) { call(w, append([]byte{1, 0xff, 0xff, 0xff, 0xff}, message...)) },
		func(w *http2.Framer) {
			_ = w.WritePing(false, [8]byte{1})
			_ = w.WriteRSTStream(1, http2.ErrCodeCancel)
		},
		func(w *http2.Framer) { _ = w.WriteWindowUpdate(0, 1<<31-1); _ = w.WriteWindowUpdate(0, 1<<31-1) },
		func(w *http2.Framer) {
			_ = w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			call(w, whole)
		},
		func(w *http2.Framer) { _ = w.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}) },
		func(w *http2.Framer) { _ = w.WriteContinuation(1, true, headers.Bytes()) },
		func(w *http2.Framer) {
			_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers.Bytes()[:5]})
			_ = w.WriteContinuation(1, true, headers.Bytes()[5:])
		},
		func(w *http2.Framer) { _ = w.WriteGoAway(1, http2.ErrCodeNo, []byte("x")); call(w, whole) },
		func(w *http2.Framer) { _ = w.WriteRawFrame(0xee, 0xff, 1<<31-1, []byte("what")) },
	} {
		f.Add(frames(write))
	}
	settings := frames(func(w *http2.Framer) { _ = w.WriteSettings() })
	f.Fuzz(func(t *testing.T, sent []byte) {
		spoken(t, at["grpc"], slices.Concat([]byte(http2.ClientPreface), settings, sent))
		log.check(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := oippb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, good); err != nil {
			t.Fatalf("a good call after %q: %v", sent, err)
		}
	})
}
