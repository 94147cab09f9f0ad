//go:build !amd64

package jpeg

const hasVectors = false

func (*block) vectorInverse(_ []byte, _ int) {}
func vectorDouble(_, _, _ []byte, _, _ int)  {}
func vectorColours(_, _, _, _ []byte)        {}
