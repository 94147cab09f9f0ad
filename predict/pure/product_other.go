//go:build !amd64 && !arm64

package pure

const hasVectors = false

func product(z, a, b []float32, m, k, n int) { multiplied(z, a, b, m, k, n) }

func rectify(_, _ *float32, _ int) {}
