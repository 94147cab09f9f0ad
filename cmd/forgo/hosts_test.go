package main

// What is open to operators, as flags, variables and files say it.

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/fifotest"
)

func TestAllowedHostsAndPprof(t *testing.T) {
	for _, c := range []struct {
		args      []string
		variables map[string]string
		want      string
	}{
		{nil, nil, "pprof: true\n"},
		{[]string{"--pprof=false"}, nil, "pprof: false\n"},
		{nil, map[string]string{"FORGO_PPROF": "false"}, "pprof: false\n"},
		{[]string{"--config", writeConfig(t, "pprof: false\n")}, nil, "pprof: false\n"},
		{[]string{"--allowed-hosts", "a.example,*.b.example"}, nil, "allowed_hosts:\n- a.example\n- *.b.example\n"},
		{nil, map[string]string{"FORGO_ALLOWED_HOSTS": "a.example"}, "allowed_hosts:\n- a.example\n"},
		{[]string{"--config", writeConfig(t, "allowed_hosts: [a.example, b.example]\n")}, nil, "allowed_hosts:\n- a.example\n- b.example\n"},
	} {
		t.Run(c.want, func(t *testing.T) {
			for name, value := range c.variables {
				t.Setenv(name, value)
			}
			if text := strings.NewReplacer(`"`, "", "'", "").Replace(printed(t, c.args...)); !strings.Contains(text, c.want) {
				t.Errorf("%v %v: %q is not in\n%s", c.args, c.variables, c.want, text)
			}
		})
	}
}

func TestConfigIsAFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "forgo.yaml")
	fifotest.Make(t, path)
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"serve", iris, "--config", path}, io.Discard, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "it is a FIFO") {
		t.Errorf("%d %s", code, &stderr)
	}
}
