package serve_test

// What refused requests leave behind: a hundred of each, and the heap, the goroutines and the descriptors
// are what they were. make refusals writes the table.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/forgo-ml/forgo/internal/memorytest"
	"github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/serve"
	"github.com/forgo-ml/forgo/serve/internal/servetest"
)

const (
	refusals  = 100
	sampled   = 10      // of bad requests every so many is sent, unless all are asked for
	mayGrow   = 1 << 20 // of the live heap, after so many
	mayReside = 64      // MB of resident memory, after all of them
)

// firstLine takes a log's first line with the message serving, and hands the others on.
type firstLine struct {
	once sync.Once
	line chan []byte
	rest io.Writer
}

func (f *firstLine) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(`"msg":"serving"`)) {
		f.once.Do(func() { f.line <- bytes.Clone(b) })
	}
	return f.rest.Write(b)
}

// unlogged runs a server whose log takes no memory, until the test ends.
func unlogged(t testing.TB, models serve.Models, o serve.Options, log io.Writer) map[string]string {
	t.Helper()
	first := &firstLine{line: make(chan []byte, 1), rest: log}
	o.Log = slog.New(slog.NewJSONHandler(first, nil))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve.New(models, o).Serve(ctx, serve.Addresses{HTTP: servetest.AnyPort, GRPC: servetest.AnyPort, Admin: servetest.AnyPort})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case line := <-first.line:
		addresses := map[string]any{}
		if err := json.Unmarshal(line, &addresses); err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for name, v := range addresses {
			out[name] = fmt.Sprint(v)
		}
		return out
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return nil
}

// refusal is one kind of request that is refused, in the protocol that it belongs to.
type refusal struct {
	protocol, kind string
	// send sends it once more, the i-th time, and fails where it is not refused as it should be.
	send func(i int) error
}

// left is what there is after all garbage is collected.
type left struct {
	heap                    int64
	goroutines, descriptors int
}

func remaining(t *testing.T) left {
	t.Helper()
	runtime.GC()
	runtime.GC() // which empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("descriptors are counted in /proc: %v", err)
	}
	return left{int64(m.HeapAlloc), runtime.NumGoroutine(), len(open)}
}

// grown sends refusals and returns by how much the heap has grown, once no goroutine and no descriptor is left.
func (r refusal) grown(t *testing.T) int64 {
	t.Helper()
	send := func(n int) {
		for i := range n {
			if err := r.send(i); err != nil {
				t.Fatalf("%s, %s: %v", r.protocol, r.kind, err)
			}
		}
	}
	send(refusals / 10) // what is made once is made
	http.DefaultClient.CloseIdleConnections()
	before := remaining(t)
	send(refusals)
	for end := time.Now().Add(time.Minute); ; {
		http.DefaultClient.CloseIdleConnections()
		after := remaining(t)
		grown := after.heap - before.heap
		if grown < mayGrow && after.goroutines <= before.goroutines+2 && after.descriptors <= before.descriptors+2 {
			return grown
		}
		if time.Now().After(end) {
			t.Errorf("%s, %s: after %d the heap has grown by %d bytes, by %d goroutines and %d descriptors",
				r.protocol, r.kind, refusals, grown, after.goroutines-before.goroutines, after.descriptors-before.descriptors)
			return grown
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestRefusedRequestsLeaveNothing holds refused paths to a bound of memory: a tenth of the kinds of bad request, and
// every other path. With FORGO_UPDATE_REFUSALS=1 it sends them all and writes docs/refusals.md, whose figures another
// run need not equal, but whose kinds must be those of this test.
func TestRefusedRequestsLeaveNothing(t *testing.T) {
	if racetest.Enabled {
		t.Skip("the race detector has a heap of its own; the run without it measures")
	}
	if testing.Short() {
		t.Skip("it sends a hundred of each of hundreds of requests")
	}
	all := slices.Concat(payloadRefusals(t), callRefusals(t), connectionRefusals(t))
	worst, kinds := map[string]int64{}, map[string][]string{}
	worstKind := map[string]string{}
	resident := residentMB(t)
	every := os.Getenv("FORGO_UPDATE_REFUSALS") != ""
	for i, r := range all {
		kinds[r.protocol] = append(kinds[r.protocol], r.kind)
		if !every && r.protocol != connections && i%sampled != 0 {
			continue
		}
		grown := r.grown(t)
		if _, ok := worst[r.protocol]; !ok || grown > worst[r.protocol] {
			worst[r.protocol], worstKind[r.protocol] = grown, r.kind
		}
	}
	debug.FreeOSMemory()
	if now := residentMB(t); now > resident+mayReside {
		t.Errorf("resident memory has grown from %d MB to %d MB", resident, now)
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# What refused requests leave behind\n\n"+
		"`make refusals` sends each kind of refused request %d times to one process. Afterwards the process has no more\n"+
		"goroutines or file descriptors than before, and its live heap has grown by less than 1 MiB; otherwise\n"+
		"`TestRefusedRequestsLeaveNothing` fails. The figures are from one run.\n\n"+
		"| protocol | kinds | largest heap growth after %d requests | caused by |\n| --- | --- | --- | --- |\n", refusals, refusals)
	protocols := []string{"OIP REST", "OIP gRPC", "TensorFlow Serving REST", "TensorFlow Serving gRPC", "native", connections}
	for _, p := range protocols {
		fmt.Fprintf(&page, "| %s | %d | %.0f KiB | %s |\n", p, len(kinds[p]), max(0, float64(worst[p])/1024), worstKind[p])
	}
	fmt.Fprintf(&page, "\n[bad-requests.md](bad-requests.md) lists the kinds of the first five protocols. The kinds of connections, keys and limits are:\n\n")
	for _, kind := range kinds[connections] {
		fmt.Fprintf(&page, "- %s\n", kind)
	}
	const path = "../docs/refusals.md"
	if every {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range protocols {
		if want := fmt.Sprintf("| %s | %d |", p, len(kinds[p])); !strings.Contains(string(listed), want) {
			t.Errorf("%s has no %q; make refusals writes it", path, want)
		}
	}
	for _, kind := range kinds[connections] {
		if !strings.Contains(string(listed), "- "+kind+"\n") {
			t.Errorf("%s does not list %q; make refusals writes it", path, kind)
		}
	}
}

// residentMB is the process's resident memory.
func residentMB(t *testing.T) int {
	t.Helper()
	return int(memorytest.Resident(t) >> 20)
}

// payloadRefusals are one of each kind of bad request over HTTP and each of its protocols.
func payloadRefusals(t *testing.T) []refusal {
	t.Helper()
	models := badModels(t)
	url := unlogged(t, models, serve.Options{MaxBody: servetest.MaxBody, Memory: predict.NewBudget(servetest.FloodMemory)}, io.Discard)["url"]
	seen := map[[2]string]bool{}
	var all []refusal
	for _, b := range slices.Concat(oipFaults(t, models), binaryFaults(t, models), nativeFaults(t, models), tfservingFaults(), commonFaults(t)) {
		key := [2]string{protocol(b.path), b.kind}
		if seen[key] {
			continue
		}
		seen[key] = true
		ways, want := b.ways(), max(b.status, http.StatusBadRequest)
		all = append(all, refusal{key[0], b.kind, func(i int) error {
			if code, raw := post(t, ways[i%len(ways)](url)); code != want {
				return fmt.Errorf("status %d %s, want %d", code, raw, want)
			}
			return nil
		}})
	}
	return all
}

func callRefusals(t *testing.T) []refusal {
	t.Helper()
	conn := dialUnlogged(t, unlogged(t, badModels(t), serve.Options{MaxBody: servetest.MaxBody, Memory: predict.NewBudget(servetest.FloodMemory)}, io.Discard)["grpc"])
	seen := map[[2]string]bool{}
	var all []refusal
	for _, b := range slices.Concat(grpcFaults(), tfservingGRPCFaults(), commonCalls(t)) {
		key := [2]string{b.protocol(), b.kind}
		if seen[key] {
			continue
		}
		seen[key] = true
		ways, want := b.ways(), b.code
		if want == codes.OK {
			want = codes.InvalidArgument
		}
		all = append(all, refusal{key[0], b.kind, func(i int) error {
			if err := ways[i%len(ways)](t.Context(), conn); status.Code(err) != want {
				return fmt.Errorf("%w, want %s", err, want)
			}
			return nil
		}})
	}
	return all
}

func dialUnlogged(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	return servetest.Connect(t, func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) })
}

const connections = "connections, keys and limits"

// connectionRefusals are refused for what surrounds a request, or break off.
func connectionRefusals(t *testing.T) []refusal {
	t.Helper()
	keys, secrets := servetest.Keyring(t)
	key := secrets["metrics"]
	models := servetest.Committed(t)
	small := serve.Options{MaxBody: servetest.MaxBody, Memory: predict.NewBudget(servetest.FloodMemory), ClientTimeout: 150 * time.Millisecond}
	open := unlogged(t, models, small, io.Discard)
	small.Keys = keys
	locked := unlogged(t, models, small, io.Discard)
	lockedCalls := dialUnlogged(t, locked["grpc"])
	openCalls := dialUnlogged(t, open["grpc"])

	request := func(method, url, body string, want int, headers ...string) func(int) error {
		return func(int) error {
			req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
			if err != nil {
				return err
			}
			for i := 0; i < len(headers); i += 2 {
				if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
					req.Host = headers[i+1]
				}
			}
			if code, raw := post(t, req); code != want {
				return fmt.Errorf("status %d %s, want %d", code, raw, want)
			}
			return nil
		}
	}
	// bytes are sent over a connection of their own, which ends then or with the answer.
	bytesTo := func(address, text, want string) func(int) error {
		return func(int) error {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				return err
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, text); err != nil && want == "" {
				return err
			}
			if want == "" {
				return nil
			}
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			got, err := io.ReadAll(io.LimitReader(conn, 1<<10))
			if !strings.Contains(string(got), want) {
				return fmt.Errorf("%q, %w; want %q", got, err, want)
			}
			return nil
		}
	}
	infer := func(conn grpc.ClientConnInterface, want codes.Code, change func(context.Context, *oippb.ModelInferRequest) (context.Context, context.CancelFunc)) func(int) error {
		return func(int) error {
			req := servetest.IrisRequest(5.1, 3.5, 1.4, 0.2)
			ctx, cancel := change(t.Context(), req)
			defer cancel()
			if _, err := oippb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, req); status.Code(err) != want {
				return fmt.Errorf("%w, want %s", err, want)
			}
			return nil
		}
	}
	as := func(key string) func(context.Context, *oippb.ModelInferRequest) (context.Context, context.CancelFunc) {
		return func(ctx context.Context, _ *oippb.ModelInferRequest) (context.Context, context.CancelFunc) {
			return metadata.AppendToOutgoingContext(ctx, "x-api-key", key), func() {}
		}
	}
	long := strings.Repeat(" ", servetest.MaxBody+1)
	head := "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
	var all []refusal
	for _, r := range []struct {
		kind string
		send func(int) error
	}{
		{"no key", request("POST", locked["url"]+"/models/iris", "[5.1,3.5,1.4,0.2]", 401)},
		{"a wrong key", request("POST", locked["url"]+"/models/iris", "[5.1,3.5,1.4,0.2]", 401, "X-API-Key", "forgo_wrong")},
		{"a key without the right", request("POST", locked["url"]+"/models/iris", "[5.1,3.5,1.4,0.2]", 403, "X-API-Key", key)},
		{"no key, over gRPC", infer(lockedCalls, codes.Unauthenticated, as(""))},
		{"a key without the right, over gRPC", infer(lockedCalls, codes.PermissionDenied, as(key))},
		{"another host name", request("POST", open["url"]+"/models/iris", "[5.1,3.5,1.4,0.2]", 403, "Host", "evil.example")},
		{"a page of another site", request("POST", open["url"]+"/models/iris", "[5.1,3.5,1.4,0.2]", 403, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")},
		{"an unknown path", request("GET", open["url"]+"/nothing", "", 404)},
		{"a method not allowed", request("DELETE", open["url"]+"/models/iris", "", 405)},
		{"an unload on a client port", request("POST", open["url"]+"/v2/repository/models/iris/unload", "", 403)},
		{"a body over the limit", request("POST", open["url"]+"/models/iris", long, 413)},
		{"a body that decompresses past the limit", request("POST", open["url"]+"/models/iris", string(zipped(t, long)), 413, "Content-Encoding", "gzip")},
		{"a message over the limit, over gRPC", infer(openCalls, codes.ResourceExhausted, func(ctx context.Context, r *oippb.ModelInferRequest) (context.Context, context.CancelFunc) {
			r.Id = long
			return ctx, func() {}
		})},
		{"a deadline that has passed", request("POST", open["url"]+"/models/iris", "[5.1,3.5,1.4,0.2]", 504, "Grpc-Timeout", "1n")},
		{"a deadline that has passed, over gRPC", infer(openCalls, codes.DeadlineExceeded, func(ctx context.Context, _ *oippb.ModelInferRequest) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Nanosecond)
		})},
		{"an unknown method, over gRPC", func(int) error {
			err := openCalls.Invoke(t.Context(), "/inference.GRPCInferenceService/Nothing", &oippb.ServerLiveRequest{}, &oippb.ServerLiveResponse{})
			if status.Code(err) != codes.Unimplemented {
				return fmt.Errorf("%w, want UNIMPLEMENTED", err)
			}
			return nil
		}},
		{"bytes that are not HTTP", bytesTo(open["http"], "nonsense\r\n\r\n", "400 Bad Request")},
		{"headers over the limit", bytesTo(open["http"], "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 100<<10)+"\r\n\r\n", "431")},
		{"a body that stops halfway", bytesTo(open["http"], head+"[", "408")},
		{"a chunk without a length", bytesTo(open["http"], "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400")},
		{"a client that leaves before its body", bytesTo(open["http"], head, "")},
		{"a client that leaves in its body", bytesTo(open["http"], head+"[5.1,", "")},
		{"a client that leaves before its answer", bytesTo(open["http"], "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n\r\n[5.1,3.5,1.4,0.2]", "")},
		{"a silent client", bytesTo(open["http"], "", "")},
		{"a gRPC client that leaves after its preface", bytesTo(open["grpc"], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "")},
		{"bytes that are not gRPC", bytesTo(open["grpc"], "GET / HTTP/1.1\r\n\r\n", "")},
		{"bytes that are not gRPC, on the admin port", bytesTo(open["admin"], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x01\x01\x05\x00\x00\x00\x01\xff", "")},
		{"a cancelled call", func(int) error {
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := openCalls.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/inference.GRPCInferenceService/ModelInfer")
			if err != nil {
				cancel()
				return err
			}
			cancel()
			if err := stream.RecvMsg(&oippb.ModelInferResponse{}); !errors.Is(err, context.Canceled) && status.Code(err) != codes.Canceled {
				return fmt.Errorf("%w, want CANCELLED", err)
			}
			return nil
		}},
	} {
		all = append(all, refusal{connections, r.kind, r.send})
	}
	return all
}
