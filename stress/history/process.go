//go:build linux

package main

// The server: a real process, its signals, its limits, and what the system refuses it.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// addresses are where a process answers.
type addresses struct{ http, grpc, admin string }

// binaries are the forgo commands to test: isolating the one that runs engines in processes of their own,
// which the race detector needs too much memory for.
type binaries struct{ plain, isolating string }

// start is how a process is started.
type start struct {
	binaries
	folder        string
	full, isolate bool // its log goes to a device that is full; engines run in processes of their own
}

// process is one forgo serve.
type process struct {
	cmd  *exec.Cmd
	tmp  string // TMPDIR, as this process reaches it; "" where it cannot be filled
	at   addresses
	log  string // "" where it goes to a full device
	done chan struct{}
	err  error // after done
}

// freeAddress returns an address that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ownTMPDIR runs a command with a TMPDIR of a megabyte, which nobody else sees and which goes with it.
var ownTMPDIR = []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs -o size=1m none "$TMPDIR" && exec "$@"`, "sh"}

// mayMount says whether the system lets a command have such a folder.
var mayMount = sync.OnceValue(func() bool {
	folder, err := os.MkdirTemp("", "forgo-history-mount-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(folder)
	cmd := exec.Command(ownTMPDIR[0], append(ownTMPDIR[1:], "true")...)
	cmd.Env = append(os.Environ(), "TMPDIR="+folder)
	return cmd.Run() == nil
})

// launch starts a process; it may not be ready yet.
func launch(ctx context.Context, s start, number int) (*process, error) {
	p := &process{done: make(chan struct{})}
	for _, a := range []*string{&p.at.http, &p.at.grpc, &p.at.admin} {
		var err error
		if *a, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	command := []string{s.plain}
	if s.isolate {
		command = []string{s.isolating}
	}
	command = append(command, "serve", filepath.Join(s.folder, "models"), "--config", filepath.Join(s.folder, "forgo.yaml"), "--watch", watch.String(),
		"--http", p.at.http, "--grpc", p.at.grpc, "--admin", p.at.admin, "--log-format", "json", "--drain", "20s")
	if s.isolate {
		command = append(command, "--isolate")
	}
	tmp := filepath.Join(s.folder, "tmp")
	if mayMount() {
		command = slices.Concat(ownTMPDIR, command)
	}
	p.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	p.cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	path := filepath.Join(s.folder, fmt.Sprintf("server-%d.log", number))
	if s.full {
		path = "/dev/full"
	} else {
		p.log = path
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stderr = log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if mayMount() {
		p.tmp = fmt.Sprintf("/proc/%d/root%s", p.cmd.Process.Pid, tmp)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// ready waits until the process answers that it is.
func (p *process) ready(ctx context.Context, within time.Duration) error {
	client := http.Client{Timeout: within}
	defer client.CloseIdleConnections()
	for end := time.Now().Add(within); time.Now().Before(end); {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.at.http+"/v2/health/ready", nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("forgo serve ended at its start: %w%s", p.err, p.tail())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("forgo serve is not ready after %s%s", within, p.tail())
}

// end sends a signal and waits for the process.
func (p *process) end(signal syscall.Signal, within time.Duration) error {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(within):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // which writes where it is
		<-p.done
		return fmt.Errorf("forgo serve had not ended %s after %s%s", within, signal, p.tail())
	}
	if signal == syscall.SIGKILL {
		return nil
	}
	if p.err != nil {
		return fmt.Errorf("after %s forgo serve ended with %w%s", signal, p.err, p.tail())
	}
	return nil
}

// tail is the end of its log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	return "\n" + string(text[max(0, len(text)-4000):])
}

// complaints are lines of the log that no server should write.
func (p *process) complaints() []string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return nil
	}
	var found []string
	for _, line := range strings.Split(string(text), "\n") {
		for _, sign := range []string{`"msg":"panic"`, "panic:", "DATA RACE", "fatal error:", "goroutine stack exceeds"} {
			if strings.Contains(line, sign) {
				found = append(found, fmt.Sprintf("the server's log %s has: %s", p.log, line[:min(len(line), 2000)]))
				break
			}
		}
	}
	return found
}

// descriptors is how many it has open.
func (p *process) descriptors() (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	return len(list), err
}

// engines are the processes that run its engines, in order.
func (p *process) engines() (pids []int, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid)) // a child is of the thread that started it
	if err != nil {
		return nil, err
	}
	for _, path := range tasks {
		list, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(list)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			if !ended(pid) {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// ended says whether a process is no more, or waits for its parent to hear of its end.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(after, "Z")
}

// kill returns when the process is no more.
func kill(pid int, within time.Duration) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	for end := time.Now().Add(within); !ended(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("process %d has not ended %s after SIGKILL", pid, within)
		}
	}
	return nil
}

// fill takes all the room in TMPDIR, until free.
func (p *process) fill() (free func() error, err error) {
	if p.tmp == "" {
		return nil, errNoMount
	}
	f, err := os.Create(filepath.Join(p.tmp, "filled"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err = f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return nil, err
		}
	}
	return func() error { return os.Remove(f.Name()) }, nil
}

// starve leaves the process no more than so many more descriptors, for a time.
func (p *process) starve(more int, long time.Duration) error {
	n, err := p.descriptors()
	if err != nil {
		return err
	}
	var old unix.Rlimit
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		return err
	}
	few := old
	few.Cur = uint64(n + more)
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		return err
	}
	time.Sleep(long)
	return unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, &old, nil)
}

// errNoInjection is why the system's errors are not injected.
var errNoInjection = errors.New("strace is not installed or may not attach")

// errNoMount is why TMPDIR is not filled.
var errNoMount = errors.New("unshare is not installed or may not mount")

// inject makes system calls on files fail, for a time.
func (p *process) inject(ctx context.Context, calls, failure string, files []string, long time.Duration) error {
	path, err := exec.LookPath("strace")
	if err != nil {
		return errNoInjection
	}
	args := []string{"-f", "-qq", "-o", "/dev/null", "-p", fmt.Sprint(p.cmd.Process.Pid), "-e", "inject=" + calls + ":error=" + failure}
	for _, f := range files {
		args = append(args, "-P", f)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	if err := cmd.Start(); err != nil {
		return errNoInjection
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
		return errNoInjection
	case <-time.After(long):
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-ended:
	case <-time.After(detachPatience):
		// It waits for a child that the server is in the middle of starting, which waits for it. The kernel lets go of
		// both when strace dies.
		_ = cmd.Process.Kill()
		<-ended
	}
	return nil
}

// detachPatience is how long strace may take to let go of the server.
const detachPatience = 5 * time.Second
