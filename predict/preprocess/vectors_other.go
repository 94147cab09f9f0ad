//go:build !amd64

package preprocess

import "context"

const hasVectors = false

func vectorDown(_, _ []byte, _ int, _ []int32)                                           {}
func vectorAddRow([]float32, []byte, float32) int                                        { return 0 }
func vectorFloats(_ []float32, _ []byte)                                                 {}
func (*across) eight(_, _ []byte, _ int)                                                 {}
func vectorBilinear(_ context.Context, _ picture, _ output, _, _ []between, _ int) error { return nil }
