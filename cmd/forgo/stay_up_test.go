package main

// The real binary, with what takes servers down or keeps them from going down: a log that nobody
// reads, runs that do not end, callers that do not read, and signals.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/waittest"
	"github.com/forgo-ml/forgo/predict/bundle/bundletest"
	"github.com/forgo-ml/forgo/serve/access"
)

// process is a server that was started.
type process struct {
	*exec.Cmd
	lines     *bufio.Reader
	addresses map[string]any
	log       bytes.Buffer
}

// launch starts a server and reads its log until it serves.
func launch(t *testing.T, command string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), command, append([]string{"serve", "--log-format", "json", "--grpc", "off", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)}
	stderr, err := p.StderrPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	p.lines = bufio.NewReader(stderr)
	p.addresses = p.wait(t, `"msg":"serving"`)
	return p
}

// wait reads the log up to a line, and returns it.
func (p *process) wait(t *testing.T, sign string) map[string]any {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { _ = p.Process.Kill() })
	defer timer.Stop()
	for {
		line, err := p.lines.ReadString('\n')
		p.log.WriteString(line)
		if err != nil {
			t.Fatalf("%v before %s: %s", err, sign, &p.log)
		}
		if strings.Contains(line, sign) {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatal(err)
			}
			return entry
		}
	}
}

func (p *process) url(path string) string { return fmt.Sprint(p.addresses["url"], path) }

// ended waits for the end, for which there is a time, and returns the exit code.
func (p *process) ended(t *testing.T, within time.Duration) int {
	t.Helper()
	start := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Wait()
	}()
	select {
	case <-done:
	case <-time.After(within):
		t.Errorf("it had not ended after %s", time.Since(start))
		_ = p.Process.Kill()
		<-done
	}
	return p.ProcessState.ExitCode()
}

// slowBundle is one whose run takes minutes.
func slowBundle(t *testing.T) string {
	t.Helper()
	graph, err := os.ReadFile("../../conformance/graphs/slow.onnx")
	if err != nil {
		t.Fatal(err)
	}
	path := bundletest.Copy(t, iris)
	bundletest.Write(t, path, "model.onnx", graph)
	bundletest.Edit(t, path, func(m map[string]any) {
		end := func(name string) []any {
			return []any{map[string]any{"name": name, "graph_name": name, "dtype": "float32", "shape": []any{nil, 3}}}
		}
		m["task"], m["inputs"], m["outputs"] = "tensors", end("x"), end("y")
		m["golden"] = map[string]any{"cases": []any{}, "none": "it would take minutes"}
		delete(m, "labels")
		for name := range m["files"].(map[string]any) {
			if strings.HasPrefix(name, "golden/") {
				delete(m["files"].(map[string]any), name)
			}
		}
	})
	return path
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestServersStayUpAndGoDown(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	command := binary(t)

	t.Run("the drain is a bound", func(t *testing.T) {
		t.Parallel()
		p := launch(t, command, slowBundle(t), "--name", "slow", "--drain", "1s")
		conn, err := net.Dial("tcp", p.addresses["http"].(string))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /models/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n[[1,2,3]]") // and never read
		admin := "http://" + p.addresses["admin"].(string) + "/metrics"
		waittest.Until(t, "it runs", func() bool {
			_, text := get(t, admin)
			return strings.Contains(text, `forgo_engine_runs_in_flight{model="slow",version="1"} 1`)
		})
		_ = p.Process.Signal(syscall.SIGTERM)
		if code := p.ended(t, 4*time.Second); code != exitRefused {
			t.Errorf("exit code %d", code)
		}
	})

	t.Run("a client does not read its answer", func(t *testing.T) {
		t.Parallel()
		p := launch(t, command, iris, "--verify", "quick", "--drain", "1s")
		conn, err := net.Dial("tcp", p.addresses["http"].(string))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		rows := "[" + strings.Repeat("[0,0,0,0],", 200_000) + "[0,0,0,0]]" // the answer is 20 MB: no socket holds it
		if _, err := fmt.Fprintf(conn, "POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(rows), rows); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 12)); err != nil {
			t.Fatal("no answer began: ", err)
		}
		_ = p.Process.Signal(syscall.SIGTERM)
		if code := p.ended(t, 4*time.Second); code != exitRefused {
			t.Errorf("exit code %d", code)
		}
	})

	t.Run("the reader of its log dies", func(t *testing.T) {
		t.Parallel()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		address := freeAddress(t)
		cmd := exec.CommandContext(t.Context(), command, "serve", iris, "--verify", "quick", "--grpc", "off", "--admin", "off", "--http", address)
		cmd.Stderr = w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill() }()
		_ = w.Close()
		_ = r.Close()
		url := "http://" + address
		waitReady(t, url)
		for range 20 {
			if code, body := get(t, url+"/v2/models/nothing"); code != 404 {
				t.Fatalf("a request that is logged: %d %s", code, body)
			}
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ends with %v", err)
		}
	})

	t.Run("the reader of its log is stuck", func(t *testing.T) {
		t.Parallel()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		if _, err := w.Write(make([]byte, 64<<10)); err != nil { // as much as a pipe holds
			t.Fatal(err)
		}
		address, admin := freeAddress(t), freeAddress(t)
		cmd := exec.CommandContext(t.Context(), command, "serve", iris, "--verify", "quick", "--grpc", "off", "--http", address, "--admin", admin, "--log-level", "debug")
		cmd.Stderr = w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill() }()
		url := "http://" + address
		waitReady(t, url)
		dropped := func() bool {
			_, text := get(t, "http://"+admin+"/metrics")
			return strings.Contains(text, "forgo_log_dropped_lines_total") && !strings.Contains(text, "forgo_log_dropped_lines_total 0\n")
		}
		for requests := 0; requests%100 != 0 || !dropped(); requests++ { // each is a line, and a megabyte of them is kept
			if requests > 50_000 {
				t.Fatal("no line was dropped, by the metrics")
			}
			if code, body := get(t, url+"/v2/models/iris"); code != 200 {
				t.Fatalf("a request that is logged: %d %s", code, body)
			}
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("it ends with %v", err)
			}
		case <-time.After(8 * time.Second):
			t.Error("SIGTERM waits for the log")
		}
	})

	t.Run("SIGHUP reloads", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		models, keys, conf := filepath.Join(folder, "models"), filepath.Join(folder, "keys"), filepath.Join(folder, "forgo.yaml")
		if err := os.CopyFS(filepath.Join(models, "iris", "1"), os.DirFS(iris)); err != nil {
			t.Fatal(err)
		}
		write := func(path, text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		key, line, err := access.NewKey("alice", []access.Right{access.Predict})
		if err != nil {
			t.Fatal(err)
		}
		write(keys, "")
		write(conf, "max_queue_rows: 100\nmax_batch_rows: 4\npaths: ["+models+"]\n")
		p := launch(t, command, "--config", conf, "--keys", keys, "--watch", "0", "--max-batch-rows", "8")
		write(keys, line)
		write(conf, "max_queue_rows: 200\nmax_batch_rows: 5\npaths: ["+models+", /srv]\nmodels:\n  iris:\n    labels: {canary: 2}\n    max_batch_rows: 2\n")
		if err := os.CopyFS(filepath.Join(models, "iris", "2"), os.DirFS(iris)); err != nil {
			t.Fatal(err)
		}
		_ = p.Process.Signal(syscall.SIGHUP)
		p.wait(t, `"msg":"reloaded"`)
		if late := fmt.Sprint(p.log.String()); !strings.Contains(late, `"keys":["max_queue_rows","paths"]`) {
			t.Errorf("what takes a restart is not said: %s", late)
		}
		if !strings.Contains(p.log.String(), `"msg":"configuration reloaded","models":["iris"]`) {
			t.Errorf("what is taken is not said: %s", &p.log)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url("/v1/models/iris/labels/canary:classify"), strings.NewReader(`{"examples":[{"input":[5.9,3.2,4.8,1.8]}]}`))
		req.Header.Set("X-API-Key", key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("the new version, by its new label, with the new key: %v, %v", resp, err)
		}
		_ = p.Process.Signal(syscall.SIGTERM)
		if code := p.ended(t, 10*time.Second); code != exitDone {
			t.Errorf("exit code %d", code)
		}
	})

	t.Run("an address that is taken", func(t *testing.T) {
		t.Parallel()
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		out, err := exec.CommandContext(t.Context(), command, "serve", iris, "--log-format", "json", "--http", taken.Addr().String(), "--grpc", "off", "--admin", "off").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "listen on --http "+taken.Addr().String()) || strings.Contains(string(out), "loading") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func waitReady(t *testing.T, url string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		code, said := get(t, url+"/v2/health/ready")
		if code == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %d %s", code, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
