package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A static forgo packs a static program, which answers in a root with nothing else in it.
func TestPackStatic(t *testing.T) {
	folder := t.TempDir()
	forgo, root := filepath.Join(folder, "forgo"), filepath.Join(folder, "root")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s", "-buildvcs=false", "-tags", "static", "-o", forgo, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	picture, err := os.ReadFile(filepath.Join(packable, "golden", "000.jpg"))
	if err == nil {
		err = os.Mkdir(root, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "red.jpg"), picture, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, ok := says(t, forgo, "pack", packable, "-o", filepath.Join(root, "app")); !ok || strings.Contains(out, "where it runs") {
		t.Fatal(out)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"verify"}, "parity proven: 16 of 16 cases"},
		{[]string{"predict", "/red.jpg"}, "red"},
	} {
		cmd := exec.CommandContext(t.Context(), "/app", c.args...)
		cmd.Dir, cmd.Env = "/", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, fs.ErrPermission) {
			t.Skip("this machine lets nobody but root have a root of its own: ", err)
		}
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("app %v: %v\n%s", c.args, err, out)
		}
	}
}

func TestPackRefusesALibraryThatIsTooLarge(t *testing.T) {
	app := filepath.Join(t.TempDir(), "app")
	out, ok := says(t, binary(t), "pack", "../../conformance/bundles/half_plus_two.forgo", "-o", app)
	if ok || !strings.Contains(out, "it needs TensorFlow, whose library is too large to pack: serve it with forgo, or export it for ONNX") {
		t.Error(out)
	}
	if strings.Contains(out, "parity proven") {
		t.Error("it was proven before it was refused: ", out)
	}
	if _, err := os.Stat(app); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the refused program was written: ", err)
	}
}
