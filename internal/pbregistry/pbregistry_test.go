package pbregistry_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// others is a program with other makers' stubs of the same protocols: it calls forgo's server by
// theirs and by forgo's client.
const others = `package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/forgo-ml/forgo/client"
	_ "github.com/forgo-ml/forgo/client/replay"
	inference "github.com/forgo-ml/forgo/internal/others/oippb"
	tensorflow "github.com/forgo-ml/forgo/internal/others/tfpb"
	"github.com/forgo-ml/forgo/serve"
)

func run(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := serve.New(nil, serve.Options{}).GRPC()
	go server.Serve(l)
	defer server.Stop()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	live, err := inference.NewGRPCInferenceServiceClient(conn).ServerLive(ctx, &inference.ServerLiveRequest{})
	if err != nil || !live.GetLive() {
		return fmt.Errorf("ServerLive by other stubs: %v, %w", live, err)
	}
	_, err = tensorflow.NewPredictionServiceClient(conn).Predict(ctx, &tensorflow.PredictRequest{ModelSpec: &tensorflow.ModelSpec{Name: "none"}})
	fmt.Println(err)
	c, err := client.New("grpc://" + l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	who, err := c.Server(ctx)
	fmt.Println(who.Name)
	return err
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`

// A program may hold forgo's packages and other generated code of the same .proto files, as KServe,
// Triton and TensorFlow Serving publish it.
func TestOtherStubsInOneProgram(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	folder, replace := t.TempDir(), map[string]string{}
	add := func(path, text string) {
		file := filepath.Join(folder, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, "internal/others", path)] = file
	}
	add("main.go", others)
	for _, name := range []string{"oippb", "tfpb"} {
		files, err := filepath.Glob(filepath.Join(root, "internal", name, "*.pb.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// What the generators write, without what scripts/proto.sh adds to it.
			var lines []string
			for line := range strings.Lines(string(raw)) {
				if !strings.Contains(line, "pbregistry") {
					lines = append(lines, line)
				}
			}
			add(name+"/"+filepath.Base(file), strings.Join(lines, ""))
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "-overlay", file, "./internal/others")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"code = NotFound", "forgo\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the program printed %q, without %q", out, want)
		}
	}
}
