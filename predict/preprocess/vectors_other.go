//go:build !amd64

package preprocess

const hasVectors = false

func vectorDown(_, _ []byte, _ int, _ []int32) {}
func vectorFloats(_ []float32, _ []byte)       {}
func (*across) eight(_, _ []byte, _ int)       {}
