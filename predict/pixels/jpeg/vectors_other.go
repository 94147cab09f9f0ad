//go:build !amd64

package jpeg

const hasVectors = false

func fastUnits(_ *bitReader, _ *[2]unitCoefs, _ []slot, _, _, from int) (int, int) { return 0, from }
func vectorInverse(_ []byte, _ int, _, _ *[64]int16) bool                          { return false }
func vectorDouble(_, _, _ []byte, _, _ int)                                        {}
func vectorColours(_, _, _, _ []byte)                                              {}
