package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
)

func TestVerifyURLRefusesBadFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"--batch is 1 or more, not 0":          {"--batch", "0"},
		"--callers is 1 or more, not -1":       {"--callers", "-1"},
		"--header \"nothing\" is not 'NAME: V": {"--header", "nothing"},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), append([]string{"verify", iris, "--url", "http://127.0.0.1:1"}, args...), io.Discard, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, &stderr, want)
		}
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"verify", iris, "--url", "https://127.0.0.1:1", "--ca", "verify_url_test.go"}, io.Discard, &stderr); code != exitRefused || !strings.Contains(stderr.String(), "holds no certificate") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
}

// A URL in the environment does not turn a proof of this binary into one of a server.
func TestVerifyTakesNoURLFromTheEnvironment(t *testing.T) {
	t.Setenv("FORGO_URL", "http://127.0.0.1:1")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"verify", iris}, &stdout, &stderr); code != exitDone || !strings.Contains(stdout.String(), "parity proven") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
}

// announced is a standard error that tells the URLs which a server says it answers on.
type announced struct{ urls chan []string }

var (
	webPlace = regexp.MustCompile(`http://[\d.]+:\d+`)
	rpcPlace = regexp.MustCompile(`grpc"?[=:]"?([\d.]+:\d+)`)
)

func (a announced) Write(b []byte) (int, error) {
	web, rpc := webPlace.Find(b), rpcPlace.FindSubmatch(b)
	if bytes.Contains(b, []byte("serving")) && web != nil && rpc != nil {
		a.urls <- []string{string(web), "grpc://" + string(rpc[1])}
	}
	return len(b), nil
}

func TestVerifyURL(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stderr := announced{make(chan []string, 1)}
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"serve", iris, "--name", "flowers", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--admin", "off"}, io.Discard, stderr)
	}()
	urls := <-stderr.urls
	verify := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(ctx, append([]string{"verify", iris, "--url", urls[0], "--url", urls[1]}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, out, err := verify("--model", "flowers"); code != exitDone || strings.Count(out, "proven") != 4 || strings.Count(out, "100%") != 4 {
		t.Errorf("exit code %d, %s%s", code, out, err)
	}
	code, out, _ := verify("--model", "flowers", "--json", "--batch", "3", "--protocol", "oip-grpc,native")
	var report struct {
		OK        bool
		Protocols []struct {
			OK       bool
			Protocol string
			Rows     int
			Top1     float64 `json:"top1_agreement"`
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitDone || !report.OK || len(report.Protocols) != 2 || report.Protocols[0].Protocol != "native" || report.Protocols[1].Top1 != 1 {
		t.Errorf("exit code %d, %s, %v", code, out, err)
	}
	if code, _, err := verify(); code != exitRefused || !strings.Contains(err, `there is no model "iris"`) {
		t.Errorf("exit code %d, %s", code, err)
	}
	code, out, _ = verify("--json")
	var why refused
	if err := json.Unmarshal([]byte(out), &why); err != nil || code != exitRefused || why.OK || why.Stage != "serve" || why.Error == "" {
		t.Errorf("exit code %d, %s, %v", code, out, err)
	}
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("serve ended with %d", code)
	}
}
