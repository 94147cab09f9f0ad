package predict

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestFoldersOfKilledProcesses kills a process that has a private folder. The next that makes one
// removes it, and leaves those of processes that run.
func TestFoldersOfKilledProcesses(t *testing.T) {
	if os.Getenv("FORGO_TEST_HOLDS") != "" {
		path, _, err := privateFolder()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(path)
		time.Sleep(time.Minute)
		return
	}
	t.Setenv("TMPDIR", t.TempDir())
	old := time.Now().Add(-2 * unlocked)
	hold := func() (*exec.Cmd, string) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFoldersOfKilledProcesses$")
		cmd.Env = append(os.Environ(), "FORGO_TEST_HOLDS=1")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		path := filepath.Clean(line[:max(0, len(line)-1)])
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		return cmd, path
	}
	killed, left := hold()
	_, kept := hold()
	_ = killed.Process.Kill()
	_ = killed.Wait()
	elsewhere := t.TempDir()
	link := filepath.Join(os.TempDir(), privatePrefix+"link")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	path, free, err := privateFolder()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{left: false, kept: true, path: true, link: true, elsewhere: true} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", path, err == nil, want)
		}
	}
	free()
	if _, err := os.Lstat(path); err == nil {
		t.Errorf("%s is not removed", path)
	}
}
