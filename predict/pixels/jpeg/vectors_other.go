//go:build !amd64

package jpeg

const hasVectors = false

func fastBlocks(_ *bitReader, _, _ *unitCoefs, _ []slot, from int) int { return from }
func vectorInverse(_ []byte, _ int, _, _ *[64]int16) bool              { return false }
func vectorDouble(_, _, _ []byte, _, _ int)                            {}
func vectorColours(_, _, _, _ []byte)                                  {}
