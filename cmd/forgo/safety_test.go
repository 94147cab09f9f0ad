package main

// Keys and certificates from the command line.

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/serve/access/accesstest"
)

func TestSafetyFlagsRefuse(t *testing.T) {
	folder := t.TempDir()
	cert, key, ca := accesstest.New(t).Files(folder, "server")
	secret := filepath.Join(folder, "keys")
	accesstest.Replace(t, secret, []byte("alice predict forgo_SECRET"))
	for want, c := range map[string]struct {
		args []string
		code int
	}{
		"--tls-cert and --tls-key go together":                {[]string{"--tls-cert", cert}, exitUsage},
		"--tls-client-ca needs --tls-cert":                    {[]string{"--tls-client-ca", ca}, exitUsage},
		"--admin-plain needs --tls-cert":                      {[]string{"--admin-plain"}, exitUsage},
		"--cors: \"example.com\" is not an origin":            {[]string{"--cors", "example.com"}, exitUsage},
		"--cors: \"https://example.com/page\" is no":          {[]string{"--cors", "https://a.example", "--cors", "https://example.com/page"}, exitUsage},
		"--allowed-hosts: \"a.example:80\" is not a host":     {[]string{"--allowed-hosts", "a.example:80"}, exitUsage},
		"--client-timeout must be more than 0":                {[]string{"--client-timeout", "0s"}, exitUsage},
		"--max-connections must be 1 or more":                 {[]string{"--max-connections", "0"}, exitUsage},
		"certificate " + key + " and key " + cert:             {[]string{"--tls-cert", key, "--tls-key", cert}, exitRefused},
		"the file has no PEM certificate":                     {[]string{"--tls-cert", cert, "--tls-key", key, "--tls-client-ca", key}, exitRefused},
		"read keys: open /nowhere: no such file or directory": {[]string{"--keys", "/nowhere"}, exitRefused},
		"keys:1: the third word must be sha256:":              {[]string{"--keys", secret}, exitRefused},
		"read keys: got a key, need the path of a file":       {[]string{"--keys", "forgo_SECRET"}, exitRefused},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), append([]string{"serve", iris, "--verify", "quick", "--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off"}, c.args...), io.Discard, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), want) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%v: exit code %d, %s; want %d, %q", c.args, code, &stderr, c.code, want)
		}
		if strings.Contains(stderr.String(), "SECRET") {
			t.Errorf("a key is shown: %s", &stderr)
		}
	}
}

func TestKeyVerb(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"key", "phone-app", "--rights", "predict,admin"}, &stdout, &stderr); code != exitDone {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	if !strings.HasPrefix(stdout.String(), "phone-app predict,admin sha256:") || strings.Contains(stdout.String(), "forgo_") {
		t.Errorf("the line is %s", &stdout)
	}
	if !strings.Contains(stderr.String(), "the key of phone-app, shown only once: forgo_") {
		t.Errorf("standard error: %s", &stderr)
	}

	stdout.Reset()
	if code := run(t.Context(), []string{"key", "phone-app", "--json"}, &stdout, io.Discard); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	var made struct{ Name, Key, Line string }
	if err := json.Unmarshal(stdout.Bytes(), &made); err != nil || made.Name != "phone-app" ||
		!strings.HasPrefix(made.Key, "forgo_") || !strings.HasPrefix(made.Line, "phone-app predict sha256:") {
		t.Errorf("%s, %v", &stdout, err)
	}

	for want, args := range map[string][]string{
		`"two words" cannot name a key`:                    {"two words"},
		`--rights "root": give rights from predict, admin`: {"x", "--rights", "root"},
		`--rights "": give rights from predict, admin`:     {"x", "--rights", ""},
		`--rights "admin,admin": the right admin occurs`:   {"x", "--rights", "admin,admin"},
		"accepts 1 arg(s), received 0 (see 'forgo key":     {},
	} {
		stderr.Reset()
		if code := run(t.Context(), append([]string{"key"}, args...), io.Discard, &stderr); code != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: exit code %d, %s; want %q", args, code, &stderr, want)
		}
	}
}

func TestServeWarnsOfTheNetwork(t *testing.T) {
	folder := t.TempDir()
	cert, key, ca := accesstest.New(t).Files(folder, "server")
	var line bytes.Buffer
	if code := run(t.Context(), []string{"key", "alice"}, &line, io.Discard); code != exitDone {
		t.Fatal(code)
	}
	keys := filepath.Join(folder, "keys")
	accesstest.Replace(t, keys, line.Bytes())
	const (
		anyone   = `anyone_may_call="[http`
		readable = `not_encrypted="[http`
	)
	tls := []string{"--tls-cert", cert, "--tls-key", key}
	for name, c := range map[string]struct {
		args     []string
		with, no []string
	}{
		"the defaults":          {nil, nil, []string{"level=WARN"}},
		"every address":         {[]string{"--http", "0.0.0.0:0"}, []string{anyone, readable}, nil},
		"with keys":             {[]string{"--http", "[::]:0", "--keys", keys}, []string{readable}, []string{anyone}},
		"with a certificate":    {append(tls, "--http", "0.0.0.0:0"), []string{anyone}, []string{readable}},
		"with both":             {append(tls, "--http", "0.0.0.0:0", "--keys", keys), nil, []string{"level=WARN"}},
		"clients' certificates": {append(tls, "--http", "0.0.0.0:0", "--tls-client-ca", ca), nil, []string{"level=WARN"}},
		"a plain admin port":    {append(tls, "--http", "0.0.0.0:0", "--keys", keys, "--admin", "0.0.0.0:0", "--admin-plain"), []string{`not_encrypted="[admin`}, []string{anyone, readable}},
	} {
		out := serveOnce(t, append([]string{"serve", iris, "--verify", "quick", "--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off"}, c.args...))
		for _, want := range c.with {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in %s", name, want, out)
			}
		}
		for _, no := range c.no {
			if strings.Contains(out, no) {
				t.Errorf("%s: %q is in %s", name, no, out)
			}
		}
		if strings.Count(out, "level=WARN") > 1 {
			t.Errorf("%s: more than one warning: %s", name, out)
		}
	}
	if err := os.Chmod(keys, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := serveOnce(t, []string{"serve", iris, "--verify", "quick", "--http", "127.0.0.1:0", "--grpc", "off", "--admin", "off", "--keys", keys}); !strings.Contains(out, "others can read") {
		t.Errorf("no warning of keys that others read: %s", out)
	}
}

// The printed configuration has the files of secrets by name, and nothing that is in them.
func TestPrintedConfigurationHasNoSecrets(t *testing.T) {
	folder := t.TempDir()
	cert, key, ca := accesstest.New(t).Files(folder, "server")
	var line, shown bytes.Buffer
	if code := run(t.Context(), []string{"key", "alice"}, &line, &shown); code != exitDone {
		t.Fatal(code)
	}
	keys := filepath.Join(folder, "keys")
	accesstest.Replace(t, keys, line.Bytes())
	path := writeConfig(t, "keys: "+keys+"\ntls_cert: "+cert+"\ntls_key: "+key+"\ntls_client_ca: "+ca+
		"\nadmin_plain: true\ncors: [https://a.example, https://b.example]\nclient_timeout: 5s\nmax_connections: 7\n")
	text := printed(t, "--config", path)
	for _, want := range []string{"keys: " + keys, "tls_key: " + key, "admin_plain: true", "- https://a.example", "- https://b.example", "client_timeout: 5s", "max_connections: 7"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	pem, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Fields(shown.String())
	for _, no := range []string{"sha256:", "PRIVATE", strings.Split(string(pem), "\n")[1], secret[len(secret)-1]} {
		if strings.Contains(text, no) {
			t.Errorf("%q is in\n%s", no, text)
		}
	}
}

func TestServeIsForThisMachineUnlessToldOtherwise(t *testing.T) {
	flags := serveCommand().Flags()
	for _, name := range []string{"http", "grpc", "admin"} {
		if address := flags.Lookup(name).DefValue; !strings.HasPrefix(address, "127.0.0.1:") {
			t.Errorf("--%s is %s", name, address)
		}
	}
	if socket := flags.Lookup("socket").DefValue; socket != "" {
		t.Errorf("--socket is %s", socket)
	}
}

// serveOnce runs forgo serve until it serves, and returns its standard error.
func serveOnce(t *testing.T, args []string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stderr := &stopper{stop: stop}
	if code := run(ctx, append(args, "--log-format", "text"), io.Discard, stderr); code != exitDone {
		t.Fatalf("%v: exit code %d, %s", args, code, stderr)
	}
	return stderr.String()
}
