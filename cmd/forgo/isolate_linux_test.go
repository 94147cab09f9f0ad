package main

// The real binary with engines in processes of their own.

import (
	"bytes"
	little "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/tfpb"
	"github.com/forgo-ml/forgo/predict/isolated"
)

// childrenOf lists the engines' processes of a server.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, child)
		}
	}
	return children
}

// soon waits for something, for as long as a busy machine may take.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in two minutes not: " + what)
		}
	}
}

func TestEnginesApart(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	if err := isolated.Kernel().Err(); err != nil {
		t.Skip(err)
	}
	p := launch(t, binary(t), iris, "--name", "iris", "--isolate", "--isolate-memory", "512MiB")
	if !strings.Contains(p.log.String(), "engines run in processes of their own") {
		t.Errorf("the log does not say so: %s", &p.log)
	}
	metrics := fmt.Sprintf("http://%v/metrics", p.addresses["admin"])
	row := "[[5.9,3.2,4.8,1.8]]"
	want := scores(t, ask(t, p.url("/models/iris"), row))

	var right, without atomic.Int64
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := http.Post(p.url("/models/iris"), "application/json", strings.NewReader(row))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				switch {
				case err != nil:
					t.Error(err)
				case resp.StatusCode == http.StatusOK:
					for i, score := range scores(t, body) {
						if math.Abs(score-want[i]) > 1e-4 {
							t.Errorf("got %s", body)
						}
					}
					right.Add(1)
				case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
					without.Add(1)
				default:
					t.Errorf("%s: %s", resp.Status, body)
				}
			}
		})
	}
	soon(t, "callers are answered", func() bool { return right.Load() > 200 })
	children := childrenOf(t, p.Process.Pid)
	if len(children) != 1 {
		t.Fatalf("the server has %d children", len(children))
	}
	if err := syscall.Kill(children[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if line := p.wait(t, `"msg":"engine has ended"`); line["level"] != "ERROR" || line["model"] != "iris" || !strings.Contains(fmt.Sprint(line["error"]), "killed") {
		t.Errorf("got %v", line)
	}
	if line := p.wait(t, `"msg":"engine started again"`); line["restarts"] != 1.0 || !strings.Contains(fmt.Sprint(line["parity"]), "parity proven") {
		t.Errorf("got %v", line)
	}
	before := right.Load()
	soon(t, "callers are answered again", func() bool { return right.Load() > before+200 })
	close(stop)
	callers.Wait()
	if without.Load() == 0 {
		t.Error("nobody heard of it")
	}
	if _, text := get(t, metrics); !strings.Contains(text, `forgo_engine_restarts_total{model="iris",version="1"} 1`) {
		t.Errorf("metrics do not count it: %s", text)
	}
	if status, _ := get(t, p.url("/v2/models/iris/ready")); status != http.StatusOK {
		t.Errorf("ready is %d", status)
	}

	// The server ends without a word to anybody.
	children = childrenOf(t, p.Process.Pid)
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = p.Process.Wait()
	for _, child := range children {
		soon(t, "the child has ended", func() bool {
			err := syscall.Kill(child, 0)
			return errors.Is(err, syscall.ESRCH) || zombie(child)
		})
	}
}

// A model whose engine cannot be started again says so, and is not ready; the server is alive.
func TestAnEngineThatStaysAway(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	if err := isolated.Kernel().Err(); err != nil {
		t.Skip(err)
	}
	folder := filepath.Join(t.TempDir(), "iris.forgo")
	if err := os.CopyFS(folder, os.DirFS(iris)); err != nil {
		t.Fatal(err)
	}
	p := launch(t, binary(t), folder, "--isolate", "--watch", "0s")
	if err := os.Rename(folder, folder+"-away"); err != nil {
		t.Fatal(err)
	}
	for _, child := range childrenOf(t, p.Process.Pid) {
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if line := p.wait(t, `could not be restarted`); line["msg"] != "engine has ended" {
		t.Errorf("got %v", line)
	}
	for path, want := range map[string]int{"/v2/health/live": 200, "/v2/health/ready": 503, "/v2/models/iris/ready": 503, "/v2/models/iris": 503} {
		if status, body := get(t, p.url(path)); status != want {
			t.Errorf("%s is %d %s, want %d", path, status, body, want)
		}
	}
	resp, err := http.Post(p.url("/v2/repository/index"), "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(body, []byte("its engine has ended")) {
		t.Errorf("the index says %s: %v", body, err)
	}
	if err := os.Rename(folder+"-away", folder); err != nil {
		t.Fatal(err)
	}
	p.wait(t, `"msg":"engine started again"`)
	if status, body := get(t, p.url("/v2/health/ready")); status != http.StatusOK {
		t.Errorf("ready is %d %s", status, body)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.ended(t, time.Minute); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// A SavedModel's callers over gRPC hear UNAVAILABLE while its engine is away, and all of its signatures come back.
func TestASavedModelApart(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	if err := isolated.Kernel().Err(); err != nil {
		t.Skip(err)
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	path := filepath.Join(t.TempDir(), "half.forgo")
	if err := os.CopyFS(path, os.DirFS("../../conformance/bundles/half_plus_two.forgo")); err != nil {
		t.Fatal(err)
	}
	p := launch(t, binary(t), path, "--name", "half", "--isolate", "--watch", "0s", "--grpc", "127.0.0.1:0")
	conn, err := grpc.NewClient(p.addresses["grpc"].(string), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	infer := func() ([]float32, error) {
		a, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(t.Context(), &pb.ModelInferRequest{
			ModelName: "half", Inputs: []*pb.ModelInferRequest_InferInputTensor{{
				Name: "x", Datatype: "FP32", Shape: []int64{2, 1}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{1, 5}},
			}},
		})
		if err != nil {
			return nil, err
		}
		if len(a.RawOutputContents) > 0 {
			raw := a.RawOutputContents[0]
			return []float32{math.Float32frombits(binary32(raw)), math.Float32frombits(binary32(raw[4:]))}, nil
		}
		return a.Outputs[0].Contents.GetFp32Contents(), nil
	}
	regress := func() (float32, error) {
		a, err := tfpb.NewPredictionServiceClient(conn).Predict(t.Context(), &tfpb.PredictRequest{
			ModelSpec: &tfpb.ModelSpec{Name: "half", SignatureName: "regress_x2_to_y3"},
			Inputs: map[string]*tfpb.TensorProto{"inputs": {
				Dtype: tfpb.DataType_DT_FLOAT, FloatVal: []float32{2},
				TensorShape: &tfpb.TensorShapeProto{Dim: []*tfpb.TensorShapeProto_Dim{{Size: 1}, {Size: 1}}},
			}},
		})
		if err != nil {
			return 0, err
		}
		out := a.Outputs["outputs"]
		if raw := out.GetTensorContent(); len(raw) == 4 {
			return math.Float32frombits(binary32(raw)), nil
		}
		return out.GetFloatVal()[0], nil
	}
	answers := func() {
		t.Helper()
		if y, err := infer(); err != nil || !slices.Equal(y, []float32{2.5, 4.5}) {
			t.Errorf("%v, %v", y, err)
		}
		if y, err := regress(); err != nil || y != 4 {
			t.Errorf("%v, %v", y, err)
		}
	}
	answers()
	if err := os.Rename(path, path+"-away"); err != nil { // so that it stays away for as long as is asked
		t.Fatal(err)
	}
	for _, child := range childrenOf(t, p.Process.Pid) {
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	p.wait(t, `could not be restarted`)
	if _, err := infer(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "engine has ended") {
		t.Errorf("while it is away: %v", err)
	}
	if _, err := regress(); status.Code(err) != codes.Unavailable {
		t.Errorf("another signature while it is away: %v", err)
	}
	if err := os.Rename(path+"-away", path); err != nil {
		t.Fatal(err)
	}
	p.wait(t, `"msg":"engine started again"`)
	answers()
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("copies of the graph were left behind: %v", left)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.ended(t, time.Minute); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func binary32(raw []byte) uint32 { return little.LittleEndian.Uint32(raw) }

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(after, "Z")
}

func ask(t *testing.T, url, body string) []byte {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %v", resp.Status, got, err)
	}
	return got
}

// scores are those of a labelled answer, best first.
func scores(t *testing.T, body []byte) (all []float64) {
	t.Helper()
	var answers []struct{ Classes []struct{ Score float64 } }
	if err := json.Unmarshal(body, &answers); err != nil {
		var one struct{ Classes []struct{ Score float64 } }
		if err := json.Unmarshal(body, &one); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		answers = append(answers, one)
	}
	for _, a := range answers {
		for _, c := range a.Classes {
			all = append(all, c.Score)
		}
	}
	return all
}

// A graph without a bundle is a file, which its engine's process opens by itself.
func TestAnONNXFileApart(t *testing.T) {
	if err := isolated.Kernel().Err(); err != nil {
		t.Skip(err)
	}
	row := filepath.Join(t.TempDir(), "row.json")
	if err := os.WriteFile(row, []byte(`"word"`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, engine := range []string{"onnx", "pure"} {
		p := exec.Command(binary(t), "predict", "--isolate", "--engine", engine, "--json", conformance+"graphs/scalar-string.onnx", row)
		out, err := p.CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"y":"word"`) {
			t.Errorf("%s: %v, %s", engine, err, out)
		}
	}
}
