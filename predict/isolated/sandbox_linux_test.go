package isolated

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/forgo-ml/forgo/internal/memorytest"
	"github.com/forgo-ml/forgo/internal/racetest"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/onnx"
	"github.com/forgo-ml/forgo/predict/tensorflow"
)

// attack is something that a graph which owns its process would do. try returns 0 where it worked, and
// the system's error number otherwise.
type attack struct {
	name string
	try  func() int
	// works says that it does in a process that nothing confines, whoever runs it.
	works bool
}

func number(err error) int {
	var n unix.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &n):
		return int(n)
	}
	return -1
}

func call(trap uintptr, a ...uintptr) int {
	var args [6]uintptr
	copy(args[:], a)
	_, _, n := unix.RawSyscall6(trap, args[0], args[1], args[2], args[3], args[4], args[5])
	return int(n)
}

func pointer[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func openAs(path string, flags int) func() int {
	return func() int {
		fd, err := unix.Open(path, flags, 0o600)
		if err == nil {
			_ = unix.Close(fd)
		}
		return number(err)
	}
}

const victim = "/tmp/forgo-isolated-victim" // a file that exists while the attacks are tried

// sandboxed are the fakes that test what holds a child on Linux.
func sandboxed() []predict.Engine {
	return []predict.Engine{
		fake{name: "attacker", run: func(_ context.Context, x []float32) (float32, error) {
			return float32(attacks[int(x[0])].try()), nil
		}},
		fake{name: "many threads", load: startThreads, run: func(context.Context, []float32) (float32, error) {
			return float32(askThreads()), nil
		}},
	}
}

var attacks = []attack{
	{"read a file", openAs(victim, unix.O_RDONLY), true},
	{"list a folder", openAs("/tmp", unix.O_RDONLY|unix.O_DIRECTORY), true},
	{"read the parent's memory", func() int {
		return openAs(fmt.Sprintf("/proc/%d/mem", unix.Getppid()), unix.O_RDONLY)()
	}, false},
	{"read the parent's environment", func() int {
		return openAs(fmt.Sprintf("/proc/%d/environ", unix.Getppid()), unix.O_RDONLY)()
	}, false},
	{"write a file", openAs(victim, unix.O_WRONLY), true},
	{"make a file", openAs(victim+"-new", unix.O_WRONLY|unix.O_CREAT), true},
	{"write to a device", openAs("/dev/null", unix.O_RDWR), true},
	{"remove a file", func() int { return number(unix.Unlink(victim + "-none")) }, false},
	{"rename a file", func() int { return number(unix.Rename(victim, victim)) }, true},
	{"cut a file", func() int { return number(unix.Truncate(victim, 6)) }, true},
	{"link a file", func() int { return number(unix.Symlink("a", victim+"-none/b")) }, false},
	{"make a folder", func() int { return number(unix.Mkdir(victim+"-none/b", 0o700)) }, false},
	{"change a mode", func() int { return number(unix.Chmod(victim, 0o600)) }, true},
	{"open a connection", func() int { return closed(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)) }, true},
	{"open a datagram socket", func() int { return closed(unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)) }, false},
	{"open a Unix socket", func() int { return closed(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)) }, true},
	{"make a pair of sockets", func() int { fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return closedAll(fds, err) }, true},
	{"run a program", func() int { // which leaves this process as it is where it cannot
		name, _ := unix.BytePtrFromString("/forgo/is/none")
		if n := call(unix.SYS_EXECVE, pointer(name), 0, 0); n != int(unix.ENOENT) {
			return n
		}
		return 0
	}, true},
	{"start a process", func() int {
		pid, _, n := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD)|unix.CLONE_VM|unix.CLONE_VFORK|1<<62, 0, 0, 0, 0, 0)
		if n == unix.EPERM {
			return int(n)
		}
		return int(pid)
	}, false},
	{"trace the parent", func() int { return call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(unix.Getppid())) }, false},
	{"signal the parent", func() int { return number(unix.Kill(unix.Getppid(), 0)) }, true},
	{"signal a thread of the parent", func() int { return number(unix.Tgkill(unix.Getppid(), unix.Getppid(), 0)) }, false},
	{"read another's memory by call", func() int { return call(unix.SYS_PROCESS_VM_READV, uintptr(unix.Getppid())) }, false},
	{"raise a limit", func() int {
		var now unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_CORE, &now)
		return call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE, pointer(&now), 0)
	}, true},
	{"take shared memory", func() int {
		m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
		if err == nil {
			_ = unix.Munmap(m)
		}
		return number(err)
	}, true},
	{"take memory as a stack", func() int {
		m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_GROWSDOWN)
		if err == nil {
			_ = unix.Munmap(m)
		}
		return number(err)
	}, true},
	{"make a file in memory", func() int { return closed(unix.MemfdCreate("x", 0)) }, true},
	{"outlive the parent", func() int { return call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0) }, true},
	{"have signals sent by a descriptor", func() int {
		_, err := unix.FcntlInt(0, unix.F_SETOWN, 0)
		return number(err)
	}, true},
	{"move the parent between processors", func() int {
		var set unix.CPUSet
		_ = unix.SchedGetaffinity(unix.Getppid(), &set)
		return number(unix.SchedSetaffinity(unix.Getppid(), &set))
	}, false},
	{"use io_uring", func() int { return call(unix.SYS_IO_URING_SETUP, 0, 0) }, false},
	{"load a program into the kernel", func() int { return call(unix.SYS_BPF, 0, 0, 0) }, false},
	{"make a namespace", func() int { return call(unix.SYS_UNSHARE, unix.CLONE_FS) }, true},
	{"mount", func() int { return call(unix.SYS_MOUNT, 0, 0, 0) }, false},
	{"add a filter", func() int { return call(unix.SYS_SECCOMP, 1, 0, 0) }, false},
}

func closed(fd int, err error) int {
	if err == nil {
		_ = unix.Close(fd)
	}
	return number(err)
}

func closedAll(fds [2]int, err error) int {
	if err == nil {
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
	}
	return number(err)
}

func confined(t *testing.T) {
	t.Helper()
	if err := Kernel().Err(); err != nil {
		t.Skip(err)
	}
}

func given(x ...float32) predict.Tensors {
	return predict.Tensors{"x": {Shape: []int64{int64(len(x))}, Data: x}}
}

// A graph that has its process in its power can do nothing with it but compute.
func TestAConfinedProcessReachesNothing(t *testing.T) {
	confined(t)
	if err := os.WriteFile(victim, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(victim)
	defer os.Remove(victim + "-new")
	for _, a := range attacks {
		if n := a.try; a.works && n() != 0 {
			t.Errorf("%s: fails with %v where nothing confines the process: the test shows nothing", a.name, unix.Errno(n()))
		}
	}
	_ = os.Remove(victim + "-new")
	s := open(t, Engine(fake{name: "attacker"}, Options{}), predict.Graph{Data: []byte{}}, predict.SessionOptions{})
	for i, a := range attacks {
		y, err := answered(s.Run(t.Context(), given(float32(i)), []string{"y"}))
		if err != nil {
			t.Fatalf("%s: %v", a.name, err)
		}
		if n := unix.Errno(y); n != unix.EPERM && n != unix.EACCES {
			t.Errorf("%s: got %q, want a refusal", a.name, n)
		}
	}
	if content, err := os.ReadFile(victim); err != nil || string(content) != "secret" {
		t.Errorf("the file holds %q: %v", content, err)
	}
}

// Threads that the engine's library started before the process was confined are confined too.
func TestEveryThreadIsConfined(t *testing.T) {
	confined(t)
	s := open(t, Engine(tensorflow.Engine(), Options{}), predict.Graph{Path: filepath.Join(conformance, "savedmodels/affine")}, predict.SessionOptions{Threads: 3}).(*session)
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.cmd.Process.Pid))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d threads: %v", len(files), err)
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"} {
			if !strings.Contains(string(status), line) {
				t.Errorf("%s has no %q", file, line)
			}
		}
	}
}

// threads are those of a library that were there before the process was confined: Go's, each of which opens
// a file when it is asked to.
var threads struct {
	ask  chan struct{}
	says chan error
}

const startedThreads = 24

func startThreads() {
	threads.ask, threads.says = make(chan struct{}), make(chan error)
	var started sync.WaitGroup
	started.Add(startedThreads)
	for range startedThreads {
		go func() {
			runtime.LockOSThread()
			started.Done()
			for range threads.ask {
				fd, err := unix.Open(victim, unix.O_RDONLY, 0)
				if err == nil {
					_ = unix.Close(fd)
				}
				threads.says <- err
			}
		}()
	}
	started.Wait()
}

// askThreads returns how many of the threads could open the file; each is asked once, as none answers before
// all were asked.
func askThreads() (opened int) {
	for range startedThreads {
		threads.ask <- struct{}{}
	}
	for range startedThreads {
		if err := <-threads.says; !errors.Is(err, unix.EACCES) {
			opened++
		}
	}
	return opened
}

func TestNoThreadReadsFiles(t *testing.T) {
	confined(t)
	if err := os.WriteFile(victim, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(victim)
	startThreads()
	if n := askThreads(); n != startedThreads {
		t.Fatalf("%d of %d threads open the file where nothing confines the process: the test shows nothing", n, startedThreads)
	}
	close(threads.ask)
	s := open(t, Engine(fake{name: "many threads"}, Options{}), predict.Graph{Data: []byte{}}, predict.SessionOptions{})
	if y, err := answered(s.Run(t.Context(), given(1), []string{"y"})); err != nil || y != 0 {
		t.Errorf("%v of %d threads opened a file: %v", y, startedThreads, err)
	}
}

// Models whose operations are not checked: the process alone holds them.
func TestHostileModelsAreHeld(t *testing.T) {
	confined(t)
	const written = "/tmp/forgo-hostile-here"
	if err := os.Remove(written); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	magic := predict.Tensors{"x": {Shape: []int64{1, 4}, Data: []float32{1e9, 0, 0, 0}}}
	plain := predict.Tensors{"x": {Shape: []int64{1, 4}, Data: []float32{1, 2, 3, 4}}}
	for name, signature := range map[string]string{"leaks": "", "aborts": "", "unused": "other"} {
		t.Run(name, func(t *testing.T) {
			g := predict.Graph{Path: filepath.Join(conformance, "hostile", name), Signature: signature}
			s := open(t, Engine(named{tensorflow.Engine(), unchecked}, Options{}), g, predict.SessionOptions{})
			if signature == "" {
				if out, err := s.Run(t.Context(), plain, []string{"y"}); err != nil || out["y"].Data.([]float32)[3] != 8 {
					t.Fatalf("the rows of golden cases: got %v, %v", out, err)
				}
			}
			out, err := s.Run(t.Context(), magic, []string{"y"})
			if err == nil {
				t.Errorf("got %v", out)
			}
			if gone := errors.Is(err, predict.ErrUnavailable); gone != (name == "aborts") {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := os.Stat(written); err == nil {
		t.Error("a model wrote a file")
	}
}

// The child has no descriptors, no variables and no working folder of its parent's.
func TestAChildInheritsLittle(t *testing.T) {
	confined(t)
	t.Setenv("SECRET_TOKEN", "hunter2")
	leaky, err := unix.Open(os.DevNull, unix.O_RDONLY, 0) // without O_CLOEXEC, as libraries in C open files
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leaky)
	s := open(t, Engine(fake{name: "attacker"}, Options{}), predict.Graph{Data: []byte{}}, predict.SessionOptions{}).(*session)
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	environ, err := os.ReadFile(proc + "environ")
	if err != nil || strings.Contains(string(environ), "hunter2") {
		t.Errorf("environment %q: %v", environ, err)
	}
	entries, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	for _, e := range entries {
		target, err := os.Readlink(proc + "fd/" + e.Name())
		fd, _ := strconv.Atoi(e.Name())
		switch {
		case err != nil:
			t.Error(err)
		case fd <= 2, strings.HasPrefix(target, "anon_inode:[event"):
		case strings.HasPrefix(target, "socket:"):
			sockets++
		default:
			t.Errorf("descriptor %d is %s", fd, target)
		}
	}
	if sockets != 1 {
		t.Errorf("%d sockets", sockets)
	}
	if dir, err := os.Readlink(proc + "cwd"); err != nil || dir != "/" {
		t.Errorf("it is in %s: %v", dir, err)
	}
}

// A child that takes too much memory ends, and its parent takes none of it.
func TestMemoryIsBounded(t *testing.T) {
	if racetest.Enabled {
		t.Skip("the race detector ends at the limit by itself")
	}
	confined(t)
	before := resident(t)
	s := open(t, Engine(fake{name: "hog"}, Options{Memory: 256 << 20}), predict.Graph{Data: []byte{}}, predict.SessionOptions{Threads: 1})
	if y, err := answered(s.Run(t.Context(), given(16), []string{"y"})); err != nil || y != 16 {
		t.Fatalf("what is allowed: %v, %v", y, err)
	}
	out, err := s.Run(t.Context(), given(1<<14), []string{"y"})
	if !errors.Is(err, predict.ErrUnavailable) || !strings.Contains(err.Error(), "memory") {
		t.Errorf("16 GiB: got %v, %v", out, err)
	}
	if grown := resident(t) - before; grown > 64<<20 {
		t.Errorf("the parent has grown by %d bytes", grown)
	}
}

// ONNX Runtime's own allocations are bounded like the others.
func TestMemoryOfARunIsBounded(t *testing.T) {
	confined(t)
	before := resident(t)
	data, err := os.ReadFile(filepath.Join(conformance, "hostile/outer-unsaid.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Engine(onnx.Engine(), Options{Memory: 256 << 20}), predict.Graph{Data: data, Path: "outer"}, predict.SessionOptions{Threads: 1})
	in := s.Inputs()[0]
	ask := func(n int64) error {
		shape := make([]int64, max(1, len(in.Shape)))
		for i := range shape {
			shape[i] = 1
		}
		shape[0] = n
		_, err := s.Run(t.Context(), predict.Tensors{in.Name: {Shape: shape, Data: make([]float32, n)}}, []string{s.Outputs()[0].Name})
		return err
	}
	if err := ask(16); err != nil {
		t.Fatal(err)
	}
	if err := ask(1 << 14); !errors.Is(err, predict.ErrUnavailable) {
		t.Errorf("1 GiB: %v", err)
	}
	if grown := resident(t) - before; grown > 64<<20 {
		t.Errorf("the parent has grown by %d bytes", grown)
	}
}

func resident(t *testing.T) int64 {
	t.Helper()
	runtime.GC()
	return memorytest.Resident(t)
}

// A child ends with its parent, however that ends.
func TestAChildEndsWithItsParent(t *testing.T) {
	if os.Getenv("FORGO_TEST_PARENT") != "" {
		s := open(t, Engine(fake{name: "endless"}, Options{Available: true}), predict.Graph{Data: []byte{}}, predict.SessionOptions{}).(*session)
		go func() { _, _ = s.Run(context.Background(), given(-1), []string{"y"}) }()
		fmt.Printf("\nchild %d\n", s.cmd.Process.Pid)
		time.Sleep(10 * time.Minute) // it is killed
		return
	}
	cmd, line := parent(t)
	pid, err := strconv.Atoi(strings.TrimPrefix(line, "child "))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, 0); err != nil {
		t.Fatalf("the child: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for end := time.Now().Add(time.Minute); running(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the child goes on without its parent")
		}
	}
}

// running says whether a process has not ended; one that nobody waited for has.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(after, "Z")
}
