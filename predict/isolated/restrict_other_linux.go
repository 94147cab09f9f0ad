//go:build linux && !amd64 && !arm64

package isolated

import (
	"errors"
	"runtime"

	"github.com/landlock-lsm/go-landlock/landlock"
)

func restrictThreads(c landlock.Config, rules ...landlock.Rule) error {
	if Kernel().Landlock < 8 {
		return errors.New(runtime.GOARCH + " needs a kernel with Landlock ABI 8")
	}
	return c.Restrict(rules...)
}
