//go:build !linux

package isolated

import "os"

func program() (string, error) { return os.Executable() }

func closeInherited() {}

// Kernel returns the parts of the sandbox that this system supports: none.
func Kernel() Sandbox { return Sandbox{} }

func confine(_ string, o opening) (Sandbox, error) {
	if o.Available {
		return Sandbox{}, nil
	}
	return Sandbox{}, Sandbox{}.Err()
}
