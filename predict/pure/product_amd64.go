package pure

import "golang.org/x/sys/cpu"

// hasVectors says that products of float32 matrices are computed eight elements at a time.
var hasVectors = cpu.X86.HasAVX2 && cpu.X86.HasFMA

//go:noescape
func product1x32(z, a, b *float32, k, n int)

//go:noescape
func product1x8(z, a, b *float32, k, n int)

//go:noescape
func product4x16(z, a, b *float32, k, n int)

// product is multiply with vectors: it adds to z [m, n] the product of a [m, k] and b [k, n]. Columns
// behind the last whole vector are multiply's.
func product(z, a, b []float32, m, k, n int) {
	if k == 0 {
		return
	}
	_, _, _ = z[m*n-1], a[m*k-1], b[k*n-1] // what the loops below reach
	i := 0
	for ; i+4 <= m && n >= 16; i += 4 {
		j := 0
		for ; j+16 <= n; j += 16 {
			product4x16(&z[i*n+j], &a[i*k], &b[j], k, n)
		}
		for r := i; r < i+4; r++ {
			productRow(z[r*n:][:n], a[r*k:][:k], b, j, n)
		}
	}
	for ; i < m; i++ {
		productRow(z[i*n:][:n], a[i*k:][:k], b, 0, n)
	}
}

// productRow adds a row's product with the columns of b from j on.
func productRow(z, a, b []float32, j, n int) {
	for ; j+32 <= n; j += 32 {
		product1x32(&z[j], &a[0], &b[j], len(a), n)
	}
	for ; j+8 <= n; j += 8 {
		product1x8(&z[j], &a[0], &b[j], len(a), n)
	}
	if j == n {
		return
	}
	tail := z[j:]
	for p, f := range a {
		line := b[p*n+j:][:len(tail)]
		for c := range tail {
			tail[c] += f * line[c]
		}
	}
}
