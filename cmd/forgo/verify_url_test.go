package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve/access"
	"github.com/forgo-ml/forgo/serve/access/accesstest"
)

func TestVerifyURLRefusesBadFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"--batch must be 1 or more, not 0":     {"--batch", "0"},
		"--callers must be 1 or more, not -1":  {"--callers", "-1"},
		"--header \"nothing\" is not 'NAME: V": {"--header", "nothing"},
		"--cert and --key go together":         {"--cert", iris},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), append([]string{"verify", iris, "--url", "http://127.0.0.1:1"}, args...), io.Discard, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, &stderr, want)
		}
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"verify", iris, "--url", "https://127.0.0.1:1", "--ca", "verify_url_test.go"}, io.Discard, &stderr); code != exitRefused || !strings.Contains(stderr.String(), "has no PEM certificate") {
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
	webPlace = regexp.MustCompile(`https?://[\d.]+:\d+`)
	rpcPlace = regexp.MustCompile(`grpc"?[=:]"?([\d.]+:\d+)`)
)

func (a announced) Write(b []byte) (int, error) {
	web, rpc := webPlace.Find(b), rpcPlace.FindSubmatch(b)
	if bytes.Contains(b, []byte("serving")) && web != nil && rpc != nil {
		a.urls <- []string{string(web), "grpc://" + string(rpc[1])}
	}
	return len(b), nil
}

// serveIris runs forgo serve until the test ends, and returns its URLs for HTTP and gRPC.
func serveIris(t *testing.T, args ...string) []string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stderr := announced{make(chan []string, 1)}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"serve", iris, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--admin", "off"}, args...), io.Discard, stderr)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitDone {
			t.Errorf("serve ended with %d", code)
		}
	})
	select {
	case urls := <-stderr.urls:
		return urls
	case code := <-ended:
		ended <- code
		t.Fatalf("serve ended with %d", code)
		return nil
	}
}

// The server asks for a certificate and a key, and has a certificate of an authority of its own.
func TestVerifyURLOfAProtectedServer(t *testing.T) {
	folder := t.TempDir()
	cert, key, ca := accesstest.New(t).Files(folder, "localhost")
	apiKey, line, err := access.NewKey("verifier", []access.Right{access.Predict})
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(folder, "keys")
	accesstest.Replace(t, keys, []byte(line+"\n"))
	urls := serveIris(t, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca, "--keys", keys)
	secure := strings.Replace(urls[1], "grpc://", "grpcs://", 1)
	for _, url := range []string{urls[0], secure} {
		all := []string{"--api-key", apiKey, "--ca", ca, "--cert", cert, "--key", key}
		for name, c := range map[string]struct {
			args []string
			code int
			says string
		}{
			"all of it":      {all, exitDone, "proven"},
			"no API key":     {all[2:], exitRefused, "this call needs a key"},
			"no authority":   {append(slices.Clone(all[:2]), all[4:]...), exitRefused, "certificate signed by unknown authority"},
			"no certificate": {all[:4], exitRefused, ""}, // which may show as a broken connection
		} {
			var out bytes.Buffer
			code := run(t.Context(), append([]string{"verify", iris, "--url", url, "--callers", "1", "--timeout", "10s"}, c.args...), &out, &out)
			if code != c.code || !strings.Contains(out.String(), c.says) || strings.Contains(out.String(), apiKey) {
				t.Errorf("%s, %s: exit code %d, %s", url, name, code, &out)
			}
		}
	}
}

func TestVerifyURL(t *testing.T) {
	urls := serveIris(t, "--name", "flowers")
	verify := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"verify", iris, "--url", urls[0], "--url", urls[1]}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, out, err := verify("--model", "flowers"); code != exitDone || strings.Count(out, "proven") != 5 || strings.Count(out, "100%") != 5 {
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
	if code, _, err := verify(); code != exitRefused || !strings.Contains(err, `no such model "iris"`) {
		t.Errorf("exit code %d, %s", code, err)
	}
	code, out, _ = verify("--json")
	var why refused
	if err := json.Unmarshal([]byte(out), &why); err != nil || code != exitRefused || why.OK || why.Stage != "serve" || why.Error == "" {
		t.Errorf("exit code %d, %s, %v", code, out, err)
	}
}
