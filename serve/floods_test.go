package serve_test

// What callers may take: each flood with its own small generator, against a server with little memory.

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcgz "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

func zipped(tb testing.TB, text string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// flooded runs a server with little memory.
func flooded(t *testing.T, o serve.Options) (s addresses, budget *predict.Budget) {
	t.Helper()
	budget = predict.NewBudget(servetest.FloodMemory)
	m, err := predict.Options{Threads: 1, Budget: budget}.Load(t.Context(), servetest.Bundles+"iris.forgo", onnx.Engine())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	o.Memory, o.MaxBody, o.Log = budget, servetest.FloodBody, slog.New(slog.DiscardHandler)
	at := servetest.RunWith(t, serve.Models{"iris": m}, o, serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort})
	return addresses{at.Addresses["http"], at.Addresses["grpc"]}, budget
}

type addresses struct{ http, grpc string }

// goodCaller is one who must be answered within a second.
func goodCaller(t *testing.T, url string) time.Duration {
	t.Helper()
	begin := time.Now()
	status, _, answer := servetest.Exchange(t, http.MethodPost, "http://"+url+"/models/iris", []byte("[5.1,3.5,1.4,0.2]"))
	if status != http.StatusOK {
		t.Errorf("a good caller: %d %s", status, answer)
	}
	return time.Since(begin)
}

func TestFloodsTakeNoMoreThanTheirMemory(t *testing.T) {
	if racetest.Enabled {
		t.Skip("the race detector takes ten times the memory and the time; the run without it measures both")
	}
	s, budget := flooded(t, serve.Options{})
	room := servetest.FloodBody - 4096
	oip := func(datatype, data string, n int) string {
		return fmt.Sprintf(`{"inputs":[{"name":"input","datatype":%q,"shape":[1,%d],"data":[`, datatype, n) + data + "]}]}"
	}
	part := "--b\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\n\r\n"
	var keys strings.Builder
	for i := range room / 12 {
		fmt.Fprintf(&keys, `,"%x":0`, i)
	}
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for _, f := range []struct{ name, path, kind, body string }{
		{"numbers for an impossible shape", "/v2/models/iris/infer", "", oip("FP32", "0"+strings.Repeat(",0", room/2), room/2+1)},
		{"data before their shape", "/v2/models/iris/infer", "", `{"inputs":[{"data":[0` + strings.Repeat(",0", room/2-60) + `],"name":"input","datatype":"FP32","shape":[9,4]}]}`},
		{"spaces for strings", "/v2/models/iris/infer", "", oip("BYTES", strings.Repeat(" ", room-200), room)},
		{"empty parts", "/models/iris", "multipart/form-data; boundary=b", strings.Repeat(part, room/len(part)) + "--b--\r\n"},
		{"millions of rows", "/models/iris", "", "[" + strings.Repeat("[0,0,0,0],", room/10-1) + "[0,0,0,0]]"},
		{"millions of rows by name", "/models/iris", "", "[" + strings.Repeat(`{"input":[0,0,0,0]},`, room/20-1) + `{"input":[0,0,0,0]}]`},
		{"instances by name", "/v1/models/iris:predict", "", `{"instances":[` + strings.Repeat(`{"input":[0,0,0,0]},`, room/20-2) + `{"input":[0,0,0,0]}]}`},
		{"empty examples", "/v1/models/iris:classify", "", `{"context":{"input":[0,0,0,0]},"examples":[` + strings.Repeat("{},", room/3-40) + "{}]}"},
		{"a long number", "/models/iris", "", "[" + strings.Repeat("1", room) + "]"},
		{"a long column", "/models/iris", "text/csv", strings.Repeat("x", room)},
		{"a wide table", "/models/iris", "text/csv", strings.Repeat(",", room)},
		{"a long table", "/models/iris", "text/csv", "input[0],input[1],input[2],input[3]\n" + strings.Repeat("0,0,0,0\n", room/8-8)},
		{"keys", "/models/iris", "", "{" + keys.String()[1:] + "}"},
		{"inputs", "/v2/models/iris/infer", "", `{"inputs":[` + strings.Repeat("{},", room/3-20) + "{}]}"},
		{"dimensions", "/v2/models/iris/infer", "", `{"inputs":[{"shape":[` + strings.Repeat("1,", room/2-30) + "1]}]}"},
		{"outputs", "/v2/models/iris/infer", "", `{"outputs":[` + strings.Repeat(`{"name":"a"},`, room/13-20) + `{"name":"a"}]}`},
		{"a long name", "/v2/models/iris/infer", "", `{"inputs":[{"name":"` + strings.Repeat("a", room-200) + `"}]}`},
		{"a long id", "/v2/models/iris/infer", "", `{"id":"` + strings.Repeat("a", room-200) + `","inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}`},
	} {
		packed := zipped(t, f.body)
		runtime.GC()
		var base runtime.MemStats
		runtime.ReadMemStats(&base)
		debug.SetMemoryLimit(int64(base.HeapInuse+base.StackInuse) + servetest.FloodMemory + 16<<20)
		var callers sync.WaitGroup
		for range 12 {
			callers.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.http+f.path, bytes.NewReader(packed))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Encoding", "gzip")
				req.Header.Set("Content-Type", f.kind)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Errorf("%s: %v", f.name, err)
					return
				}
				defer resp.Body.Close()
				head, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != http.StatusOK && len(head) > 1500 || !slices.Contains([]int{200, 400, 408, 413, 429}, resp.StatusCode) {
					t.Errorf("%s: %d, %d bytes: %.200s", f.name, resp.StatusCode, len(head), head)
				}
			})
		}
		done := make(chan struct{})
		go func() { callers.Wait(); close(done) }()
		highest, worst := uint64(0), time.Duration(0)
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			case <-time.After(5 * time.Millisecond):
			}
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			highest = max(highest, now.HeapInuse)
			if !testing.Short() {
				worst = max(worst, askQuickly(s.http))
			}
		}
		servetest.Returned(t, f.name, budget, 0)
		if peak := budget.Peak(); peak > servetest.FloodMemory {
			t.Errorf("%s: %d bytes were taken", f.name, peak)
		}
		if most := base.HeapInuse + servetest.FloodMemory + 64<<20; highest > most {
			t.Errorf("%s: the heap grew from %d to %d MB", f.name, base.HeapInuse>>20, highest>>20)
		}
		if worst > 5*time.Second {
			t.Errorf("%s: a good caller waited %s", f.name, worst)
		}
	}
	goodCaller(t, s.http)
}

// askQuickly asks for a model, and returns how long that took.
func askQuickly(address string) time.Duration {
	begin := time.Now()
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err == nil {
		_, _ = io.WriteString(conn, "GET /v2/models/iris HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	return time.Since(begin)
}

// Messages are unpacked and read within the memory, and by their kind.
func TestFloodsOfMessages(t *testing.T) {
	s, budget := flooded(t, serve.Options{})
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	repeat := func(field protowire.Number, value []byte) []byte {
		one := protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), value)
		return bytes.Repeat(one, (servetest.FloodBody-64)/len(one))
	}
	name := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "iris")
	for kind, c := range map[string]struct {
		method string
		raw    []byte
	}{
		"empty inputs":     {"/inference.GRPCInferenceService/ModelInfer", append(slices.Clone(name), repeat(5, nil)...)},
		"empty parameters": {"/inference.GRPCInferenceService/ModelInfer", append(slices.Clone(name), repeat(4, nil)...)},
		"raw contents":     {"/inference.GRPCInferenceService/ModelInfer", append(slices.Clone(name), repeat(7, nil)...)},
		"bools":            {"/inference.GRPCInferenceService/ModelInfer", append(slices.Clone(name), repeat(5, protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), make([]byte, 1<<20))))...)},
		"empty entries":    {"/tensorflow.serving.PredictionService/Predict", repeat(2, nil)},
		"empty examples":   {"/tensorflow.serving.PredictionService/Classify", protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), repeat(1, nil)))},
	} {
		var callers sync.WaitGroup
		for range racetest.Some(8, 2) {
			callers.Go(func() {
				err := conn.Invoke(t.Context(), c.method, rawMessage(c.raw), &rawMessage{}, grpc.UseCompressor(grpcgz.Name), grpc.ForceCodec(rawCodec{}))
				if code := status.Code(err); code != codes.ResourceExhausted && code != codes.InvalidArgument {
					t.Errorf("%s: %.300v", kind, err)
				}
			})
		}
		callers.Wait()
		servetest.Returned(t, kind, budget, 1)
		if peak := budget.Peak(); peak > servetest.FloodMemory {
			t.Errorf("%s: %d bytes were taken", kind, peak)
		}
	}
	answer, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(t.Context(), servetest.IrisRequest(5.1, 3.5, 1.4, 0.2), grpc.UseCompressor(grpcgz.Name))
	if err != nil || len(answer.GetOutputs()) == 0 {
		t.Errorf("a good caller: %v", err)
	}
	servetest.Returned(t, "a good caller", budget, 1)
}

type rawMessage []byte

type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) { return v.(rawMessage), nil }

func (rawCodec) Unmarshal(raw []byte, v any) error {
	*v.(*rawMessage) = raw
	return nil
}

// Callers who announce much and send little take nothing from others.
func TestIdleCallersKeepNobodyOut(t *testing.T) {
	s, budget := flooded(t, serve.Options{ClientTimeout: 5 * time.Second})
	post := func(length int) string {
		return fmt.Sprintf("POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", length)
	}
	for name, c := range map[string]struct {
		callers int
		sent    string
	}{
		"bodies that never arrive":    {40, post(servetest.FloodBody)},
		"bodies that stop after 1 KB": {600, post(1000) + strings.Repeat(" ", 900)},
		"bodies that stop":            {20, post(servetest.FloodBody) + strings.Repeat(" ", servetest.FloodBody-1<<20)},
	} {
		var all []net.Conn
		for range c.callers {
			conn := servetest.Dial(t, s.http)
			go func() { _, _ = io.WriteString(conn, c.sent) }()
			all = append(all, conn)
		}
		time.Sleep(1200 * time.Millisecond) // after which the slowest may be shed
		for range 3 {
			if took := goodCaller(t, s.http); took > time.Second {
				t.Errorf("%s: a good caller waited %s", name, took)
			}
			body := append(bytes.Repeat([]byte(" "), 1<<20), "[5.1,3.5,1.4,0.2]"...)
			if status, _, answer := servetest.Exchange(t, http.MethodPost, "http://"+s.http+"/models/iris", body); status != http.StatusOK {
				t.Errorf("%s: a good caller with 1 MiB: %d %s", name, status, answer)
			}
		}
		for _, conn := range all {
			_ = conn.Close()
		}
		servetest.Returned(t, name, budget, 0)
	}
}

// Callers who never read their answers are cut, and their memory comes back.
func TestAnswersThatAreNotTaken(t *testing.T) {
	s, budget := flooded(t, serve.Options{ClientTimeout: 300 * time.Millisecond})
	row := "[0,0,0,0],"
	rows := "[" + strings.Repeat(row, 100_000) + "[0,0,0,0]]"
	for range 4 {
		conn := servetest.Dial(t, s.http)
		if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = fmt.Fprintf(conn, "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(rows), rows)
		}()
	}
	time.Sleep(500 * time.Millisecond)
	servetest.Returned(t, "HTTP", budget, 4)

	began, hungUp := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(began) })
	stalled := func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		return &stalling{Conn: conn, left: 2000, full: begin, until: hungUp}, err
	}
	conn, err := grpc.NewClient("passthrough:"+s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(stalled))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := servetest.IrisRequest(make([]float32, 4*6000)...)
	request.Inputs[0].Shape = []int64{6000, 4}
	taken := make(chan error, 1)
	go func() {
		_, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(t.Context(), request)
		taken <- err
	}()
	select {
	case <-began:
	case err := <-taken:
		t.Fatalf("the call ended before its answer began: %v", err)
	}
	servetest.Returned(t, "gRPC", budget, 1)
	close(hungUp)
	if err := <-taken; err == nil {
		t.Error("the answer was taken")
	}
}

// stalling is a connection that is read no further than so many bytes.
type stalling struct {
	net.Conn
	left  int
	full  func() // is called then
	until <-chan struct{}
}

func (s *stalling) Read(p []byte) (int, error) {
	if s.left <= 0 {
		s.full()
		<-s.until
		return 0, io.EOF
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// An error says no more of what was sent than a hundred characters of it, over gRPC too.
func TestErrorsAreShort(t *testing.T) {
	models := servetest.Committed(t)
	h := httptest.NewServer(serve.New(models, serve.Options{Log: slog.New(slog.DiscardHandler)}).Handler())
	defer h.Close()
	long := strings.Repeat("9", 1<<20)
	for _, c := range []struct{ path, kind, body string }{
		{"/models/iris", "", "[" + long + ",1,1,1]"},
		{"/models/iris", "", `{"` + long[:900] + `":1}`},
		{"/models/iris", "text/csv", long + "\n1\n"},
		{"/models/iris", "text/csv", "input[0],input[1],input[2],input[3]\n1,1,1,x" + long + "\n"},
		{"/v2/models/iris/infer", "", `{"inputs":[{"name":"input","datatype":"` + long[:900] + `","shape":[1],"data":[1]}]}`},
		{"/v2/models/iris/infer", "", `{"inputs":[{"name":"input","datatype":"FP32","shape":[` + strings.Repeat("1,", 60) + `1],"data":[1]}]}`},
		{"/v2/models/iris/infer", "", `{"outputs":[{"name":"` + long[:900] + `"}],"inputs":[]}`},
		{"/v1/models/iris:predict", "", `{"signature_name":"` + long[:900] + `"}`},
		{"/v1/models/iris:predict", "", `{"instances":["` + long + `"]}`},
	} {
		status, _, answer := servetest.Exchange(t, http.MethodPost, h.URL+c.path, []byte(c.body), "Content-Type", c.kind)
		if status != http.StatusBadRequest || len(answer) > 1200 {
			t.Errorf("%s %.40s: %d, %d bytes %.300s", c.path, c.body, status, len(answer), answer)
		}
	}
	request := servetest.IrisRequest(1, 2, 3, 4)
	request.Inputs[0].Datatype = long
	client := pb.NewGRPCInferenceServiceClient(servetest.DialGRPC(t, servetest.New(models)))
	request.Inputs[0].Datatype = long[:500_000]
	if _, err := client.ModelInfer(t.Context(), request); err == nil || len(err.Error()) > 1200 {
		t.Errorf("%d bytes", len(fmt.Sprint(err)))
	}
}

// A timeout that a duration cannot hold is as good as none.
func TestTimeoutsThatAreTooLong(t *testing.T) {
	url, _ := servetest.Start(t)
	for _, timeout := range []string{"2562048H", "99999999H", "99999999M", "8760H"} {
		if status, _, answer := servetest.Exchange(t, http.MethodPost, url+"/models/iris", []byte("[1,2,3,4]"), "Grpc-Timeout", timeout); status != http.StatusOK {
			t.Errorf("%s: %d %s", timeout, status, answer)
		}
	}
}
