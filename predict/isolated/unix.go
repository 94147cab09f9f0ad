//go:build unix

package isolated

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fromTerminal are signals that a terminal sends to a parent and its children alike.
var fromTerminal = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT}

// pair returns the two ends of a connection. Programs that start meanwhile inherit neither.
func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return os.NewFile(uintptr(fds[0]), "child"), os.NewFile(uintptr(fds[1]), "parent"), nil
}
