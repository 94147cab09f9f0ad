package main

// The real binary under load, told to stop a hundred times.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/forgo-ml/forgo/internal/oippb"
	"github.com/forgo-ml/forgo/internal/racetest"
)

// TestEveryRequestThatWasReadIsAnswered stops a server under load, over connections that are
// kept, connections for one request, bodies that come in parts, a Unix socket, and gRPC. As many answers
// arrive as it says that it has read requests, and nobody who sent a whole request over HTTP is
// left without an answer.
func TestEveryRequestThatWasReadIsAnswered(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary and starts it a hundred times")
	}
	command := binary(t)
	stops, atOnce := racetest.Some(100, 10), 4 // of a binary that the race detector does not watch
	var group sync.WaitGroup
	runs := make(chan int)
	for range atOnce {
		group.Go(func() {
			for i := range runs {
				stopUnderLoad(t, command, uint64(i))
			}
		})
	}
	for i := range stops {
		runs <- i
	}
	close(runs)
	group.Wait()
}

// load is what clients have seen.
type load struct {
	answered atomic.Int64
	enough   int64 // answers, whereupon the server is told to stop
	stop     func()
	once     sync.Once
	lost     chan error
}

func (l *load) answer() {
	if l.answered.Add(1) >= l.enough {
		l.once.Do(l.stop)
	}
}

func stopUnderLoad(t *testing.T, command string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	cmd := exec.CommandContext(t.Context(), command, "serve", iris, "--verify", "quick", "--log-format", "json",
		"--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--admin", "off", "--socket", filepath.Join(t.TempDir(), "s"))
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	var addresses, end map[string]any
	log := json.NewDecoder(stderr)
	for addresses["msg"] != "serving" {
		addresses = nil
		if err := log.Decode(&addresses); err != nil {
			t.Error(err)
			return
		}
	}
	l := &load{enough: 1 + random.Int64N(400), lost: make(chan error, 100), stop: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }}
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			network, address := "tcp", addresses["http"]
			if i >= 5 {
				network, address = "unix", addresses["socket"]
			}
			l.overHTTP(network, address.(string), i%4 == 1, i%4 == 2)
		})
	}
	for range 3 {
		clients.Go(func() { l.overGRPC(t, addresses["grpc"].(string)) })
	}
	for log.More() {
		end = nil
		if err := log.Decode(&end); err != nil {
			t.Error(err)
			break
		}
	}
	err = cmd.Wait()
	clients.Wait()
	close(l.lost)
	for lost := range l.lost {
		t.Errorf("run %d: %v", seed, lost)
	}
	answered := float64(l.answered.Load())
	if err != nil || end["msg"] != "stopped" || end["read"] != answered || end["answered"] != answered {
		t.Errorf("run %d: clients have %v answers, the server says %v and ends with %v", seed, answered, end, err)
	}
}

const row = "[5.1,3.5,1.4,0.2]"

// overHTTP sends requests until it cannot connect. What happens before a request's last byte is
// sent is the client's to repeat; from then on there must be an answer.
func (l *load) overHTTP(network, address string, each, parts bool) {
	head := fmt.Sprintf("POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(row))
	for {
		conn, err := net.Dial(network, address)
		if err != nil {
			return
		}
		answers := bufio.NewReader(conn)
		for {
			if parts {
				_, err = io.WriteString(conn, head)
				if err == nil {
					_, err = io.WriteString(conn, row)
				}
			} else {
				_, err = io.WriteString(conn, head+row)
			}
			if err != nil {
				break
			}
			answer, err := http.ReadResponse(answers, nil)
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
			}
			if err != nil || answer.StatusCode != http.StatusOK {
				l.lost <- fmt.Errorf("after the whole request was sent: %v, %v", answer, err)
				break
			}
			l.answer()
			if each || answer.Close {
				break
			}
		}
		_ = conn.Close()
	}
}

// overGRPC calls until the server is gone.
func (l *load) overGRPC(t *testing.T, address string) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		l.lost <- err
		return
	}
	defer conn.Close()
	client := pb.NewGRPCInferenceServiceClient(conn)
	for {
		_, err := client.ModelInfer(t.Context(), &pb.ModelInferRequest{ModelName: "iris", Inputs: []*pb.ModelInferRequest_InferInputTensor{{
			Name: "input", Datatype: "FP32", Shape: []int64{1, 4}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{5.1, 3.5, 1.4, 0.2}},
		}}})
		if err != nil {
			return
		}
		l.answer()
	}
}
