//go:build windows

package isolated

import (
	"errors"
	"os"
	"syscall"
)

var fromTerminal = []os.Signal{os.Interrupt}

func attributes() *syscall.SysProcAttr { return nil }

// pair fails: a child gets its connection as a descriptor, which Windows does not have.
func pair() (ours, theirs *os.File, err error) {
	return nil, nil, errors.New("Windows does not support engines in processes of their own")
}
