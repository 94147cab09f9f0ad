//go:build amd64 || arm64

package isolated

// Landlock on every thread of the process. Landlock confines the calling thread and the threads that it
// starts, but a library's threads exist before. So a signal interrupts each thread, and its handler, in
// the .s files, makes the call. Kernels with Landlock's ABI 8 do this themselves.
//
// libcap's psx does the same, but needs a C compiler: without one it asks Go's runtime, which refuses in a
// process that runs C.

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Memory that the handler reads and writes.
var (
	ruleset      int64
	rulesetFlags int64
	reply        int64 // the kernel's answer to the last thread
	asked        int64 // how many have
)

var handler, restorer uintptr // addresses of code, for the kernel

// action is the kernel's struct sigaction.
type action struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	// threadSignal is a signal that neither Go nor the C library ever blocks. The C library reserves it
	// for the same purpose.
	threadSignal = 33
	saOnStack    = 0x08000000
	saRestart    = 0x10000000
	saRestorer   = 0x04000000
	// threadPatience is how long a thread may take to handle the signal, which needs a moment of a
	// processor.
	threadPatience = 20 * time.Second
)

// restrictThreads confines every thread. If it fails, the process must not continue.
func restrictThreads(c landlock.Config, rules ...landlock.Rule) error {
	if Kernel().Landlock >= 8 {
		return c.Restrict(rules...)
	}
	fd, flags, err := c.NewRulesetFD(rules...)
	if err != nil || fd < 0 {
		return err
	}
	defer unix.Close(fd)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := ll.LandlockRestrictSelf(fd, flags); err != nil {
		return err
	}
	atomic.StoreInt64(&ruleset, int64(fd))
	atomic.StoreInt64(&rulesetFlags, int64(flags))
	old := action{}
	// On a stack of its own, since a goroutine's is too small.
	if err := setAction(&action{handler: handler, flags: saOnStack | saRestart | saRestorer, restorer: restorer}, &old); err != nil {
		return err
	}
	if err := interruptThreads(); err != nil {
		return err // a signal may still be on its way: the handler stays
	}
	return setAction(&old, nil)
}

func setAction(next, old *action) error {
	_, _, n := unix.RawSyscall6(unix.SYS_RT_SIGACTION, threadSignal, uintptr(unsafe.Pointer(next)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(next.mask), 0, 0)
	if n != 0 {
		return fmt.Errorf("handle signal %d: %w", threadSignal, n)
	}
	return nil
}

// interruptThreads makes all other threads call Landlock, one after another, until none is left. A thread
// that starts meanwhile inherits its starter's confinement, or is interrupted in turn.
func interruptThreads() error {
	done := map[int]bool{unix.Gettid(): true}
	for again := true; again; {
		again = false
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || done[tid] {
				continue
			}
			if err := interrupt(tid); err != nil {
				return fmt.Errorf("confine thread %d: %w", tid, err)
			}
			done[tid], again = true, true
		}
	}
	return nil
}

func interrupt(tid int) error {
	before, end := atomic.LoadInt64(&asked), time.Now().Add(threadPatience)
	pid := os.Getpid()
	for err := unix.Tgkill(pid, tid, threadSignal); ; err = unix.Tgkill(pid, tid, 0) {
		if n := atomic.LoadInt64(&asked); n != before {
			if code := atomic.LoadInt64(&reply); code != 0 {
				return unix.Errno(-code)
			}
			return nil
		}
		switch {
		case errors.Is(err, unix.ESRCH): // it has ended
			return nil
		case err != nil:
			return err
		case time.Now().After(end):
			return errors.New("it did not handle its signal in time")
		}
		runtime.Gosched()
	}
}
