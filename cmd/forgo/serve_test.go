package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
)

const iris = "../../conformance/bundles/iris.forgo"

func TestServeRefusesBadFlags(t *testing.T) {
	for want, c := range map[string]struct {
		args []string
		code int
	}{
		"--http: \"nonsense\" is neither HOST:PORT nor off":                       {[]string{"--http", "nonsense"}, exitUsage},
		"--admin: \"\" is neither":                                                {[]string{"--admin", ""}, exitUsage},
		"--isolate available: write the mode behind =, as in --isolate=available": {[]string{"--isolate", "available"}, exitUsage},
		"--max-queue-rows must not be negative, but is -1":                        {[]string{"--max-queue-rows", "-1"}, exitUsage},
		"--max-delay must not be negative, but is -1s":                            {[]string{"--max-delay", "-1s"}, exitUsage},
		"every address is off":                                                    {[]string{"--http", "off", "--grpc", "off", "--admin", "off"}, exitRefused},
		"--log-format must be json, text or auto, not \"xml\"":                    {[]string{"--log-format", "xml"}, exitUsage},
		"--log-level must be debug, info, warn or error, not":                     {[]string{"--log-level", "loud"}, exitUsage},
		"listen on --grpc 127.0.0.1:99999":                                        {[]string{"--http", "off", "--grpc", "127.0.0.1:99999", "--admin", "off"}, exitRefused},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), append([]string{"serve", iris, "--verify", "quick"}, c.args...), io.Discard, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), want) {
			t.Errorf("%v: exit code %d, %s; want %d, %q", c.args, code, &stderr, c.code, want)
		}
	}
}

// stopper is a standard error that ends the command once it says that it serves.
type stopper struct {
	bytes.Buffer
	sign string
	stop context.CancelFunc
}

func (s *stopper) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(s.sign)) {
		s.stop()
	}
	return s.Buffer.Write(b)
}

func TestServeEndsWithItsContext(t *testing.T) {
	for format, c := range map[string]struct {
		sign string
		want []string
	}{
		"auto": {`"msg":"serving"`, []string{`"model":"flowers"`, `"url":"http://127.0.0.1:`, `"msg":"stopping"`}},
		"text": {"msg=serving", []string{"model=flowers", "url=http://127.0.0.1:", "msg=stopping"}},
	} {
		ctx, stop := context.WithCancel(t.Context())
		stderr := &stopper{sign: c.sign, stop: stop}
		args := []string{
			"serve", iris, "--verify", "quick", "--name", "flowers", "--log-format", format,
			"--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off",
		}
		if code := run(ctx, args, io.Discard, stderr); code != exitDone {
			t.Errorf("exit code %d, %s", code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%q is not in %s", want, stderr)
			}
		}
		if strings.Contains(stderr.String(), "grpc") {
			t.Errorf("gRPC is not off: %s", stderr)
		}
	}
}

func TestALogForPeopleIsForTerminals(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if isTerminal(w) || isTerminal(&bytes.Buffer{}) {
		t.Error("a pipe is no terminal")
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this system gives no terminal: ", err)
	}
	defer terminal.Close()
	if !isTerminal(terminal) {
		t.Error("a terminal is one")
	}
}
