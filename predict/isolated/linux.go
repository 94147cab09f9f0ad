//go:build linux

package isolated

// The sandbox of a child on Linux.

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// program returns the path of this program, even if its file has been replaced.
func program() (string, error) { return "/proc/self/exe", nil }

// attributes end the child with its parent, and keep the signals of the parent's terminal from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// closeInherited closes descriptors that a library in the parent left open across exec.
func closeInherited() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= socketFD {
			continue
		}
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(target, "anon_inode:") { // those of Go's own poller
			_ = unix.Close(fd)
		}
	}
}

// Kernel returns the parts of the sandbox that this system supports.
func Kernel() Sandbox {
	version, err := ll.LandlockGetABIVersion()
	if err != nil || version < 0 {
		version = 0
	}
	return Sandbox{Landlock: version, Seccomp: seccomp.Supported()}
}

// confine permanently drops what running a graph does not need. graph is the path that the engine opens,
// or "" if the parent sends its bytes.
func confine(graph string, o opening) (Sandbox, error) {
	has := Kernel()
	if err := has.Err(); err != nil && !o.Available {
		return has, err
	}
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // the kernel ends it before its parent
	if err := limit(o); err != nil {
		return has, fmt.Errorf("limit an engine's process: %w", err)
	}
	if has.Landlock > 0 {
		if err := restrictFiles(graph); err != nil {
			return has, fmt.Errorf("deny files to an engine's process: %w", err)
		}
	}
	if has.Seccomp {
		if err := restrictCalls(); err != nil {
			return has, fmt.Errorf("deny system calls to an engine's process: %w", err)
		}
	}
	return has, nil
}

const (
	stack   = 8 << 20   // that the C library sets aside for each thread
	reserve = 128 << 20 // of addresses that its allocator sets aside for each thread
	others  = 1 << 30   // addresses of Go's heap and of files
)

// limit bounds memory and files. The memory is in addition to what the process has now.
func limit(o opening) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	now := map[string]uint64{}
	for _, field := range []string{"VmData", "VmSize"} {
		_, after, _ := bytes.Cut(status, []byte("\n"+field+":"))
		words := strings.Fields(string(after))
		if len(words) == 0 {
			return fmt.Errorf("/proc/self/status has no %s", field)
		}
		kib, err := strconv.ParseUint(words[0], 10, 64)
		if err != nil {
			return fmt.Errorf("read %s: %w", field, err)
		}
		now[field] = kib << 10
	}
	memory, threads := uint64(o.Memory), uint64(2*o.Threads+16)
	for resource, most := range map[int]uint64{
		unix.RLIMIT_DATA: now["VmData"] + memory + threads*stack,
		// Read-only mappings take little but page tables, which this bounds.
		unix.RLIMIT_AS:   now["VmSize"] + 2*memory + threads*(stack+reserve) + others,
		unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0,
	} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	return nil
}

// readable lists system files from which engines and the C library learn about processors, memory and
// time. Missing ones are skipped.
var (
	readableFiles = []string{
		"/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm/overcommit_memory", "/dev/urandom", "/dev/null", "/etc/localtime",
		"/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
	}
	readableFolders = []string{"/proc/self", "/sys/devices/system/cpu", "/sys/devices/system/node"}
)

// restrictFiles leaves the process read access to its graph, a folder or a file, on all threads.
func restrictFiles(graph string) error {
	rules := []landlock.Rule{
		landlock.ROFiles(readableFiles...).IgnoreIfMissing(),
		landlock.RODirs(readableFolders...).IgnoreIfMissing(),
	}
	if info, err := os.Stat(graph); err == nil && info.IsDir() {
		rules = append(rules, landlock.RODirs(graph))
	} else if graph != "" {
		rules = append(rules, landlock.ROFiles(graph))
	}
	return restrictThreads(landlock.V7.BestEffort(), rules...)
}

// restrictCalls leaves the process the system calls for computing, on all threads. Others fail with EPERM.
func restrictCalls() error {
	known, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	allowed := seccomp.SyscallGroup{Action: seccomp.ActionAllow}
	for _, name := range calls {
		if _, there := known.SyscallNames[name]; there { // some are those of one processor
			allowed.Names = append(allowed.Names, name)
		}
	}
	self := uint64(os.Getpid())
	is := func(argument uint32, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.Equal, Value: value}
	}
	without := func(argument uint32, bits uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.BitsNotSet, Value: bits}
	}
	with := func(argument uint32, bits uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.BitsSet, Value: bits}
	}
	when := func(name string, conditions ...seccomp.Condition) {
		if _, there := known.SyscallNames[name]; there {
			allowed.NamesWithCondtions = append(allowed.NamesWithCondtions, seccomp.NameWithConditions{Name: name, Conditions: conditions})
		}
	}
	when("openat", without(2, unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_APPEND))
	when("open", without(1, unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_APPEND))
	when("clone", with(0, unix.CLONE_THREAD), without(0, namespaces)) // threads, no processes
	when("tgkill", is(0, self))                                       // Go's signals between its threads, and abort
	when("kill", is(0, self))
	// Only memory like this counts as data.
	when("mmap", with(3, unix.MAP_PRIVATE), without(3, unix.MAP_SHARED|unix.MAP_GROWSDOWN|unix.MAP_HUGETLB))
	when("prlimit64", is(0, 0), is(2, 0)) // reading
	for _, command := range []uint64{unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_DUPFD_CLOEXEC} {
		when("fcntl", is(1, command))
	}
	when("prctl", is(0, unix.PR_SET_NAME))
	when("prctl", is(0, unix.PR_SET_VMA))
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls: []seccomp.SyscallGroup{
				allowed,
				// The C library then uses clone, whose arguments a filter can see.
				{Action: seccomp.ActionErrno&^0xffff | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}},
			},
		},
	})
}

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET

// calls are allowed with any arguments. None makes a file, a connection or a process, or reaches another
// process.
var calls = []string{
	// memory
	"brk", "munmap", "mremap", "mprotect", "madvise", "mincore", "membarrier", "get_mempolicy",
	// threads
	"futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
	"set_tid_address", "gettid", "exit", "exit_group", "getcpu", "arch_prctl",
	// signals of its own
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
	// time
	"nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "times",
	// what it has open
	"read", "write", "readv", "writev", "pread64", "preadv", "close", "lseek", "fadvise64", "epoll_ctl", "epoll_wait", "epoll_pwait",
	"poll", "ppoll", "select", "pselect6",
	// files, which Landlock bounds
	"fstat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "statfs", "fstatfs",
	// about itself
	"getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "getrusage", "getrandom", "restart_syscall", "getrlimit",
}
