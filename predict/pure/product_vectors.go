//go:build amd64 || arm64

package pure

//go:noescape
func product1x32(z, a, b *float32, k, n int)

//go:noescape
func product1upTo16(z, a, b *float32, k, n, columns int)

//go:noescape
func product4x16(z, a, b *float32, k, n int)

//go:noescape
func rectify(y, x *float32, n int)

// product is multiply with vectors: it adds to z [m, n] the product of a [m, k] and b [k, n].
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
	for ; j < n; j += 16 {
		product1upTo16(&z[j], &a[0], &b[j], len(a), n, min(16, n-j))
	}
}
