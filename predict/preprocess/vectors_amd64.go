package preprocess

import "golang.org/x/sys/cpu"

// hasVectors says that bytes are summed eight at a time.
var hasVectors = cpu.X86.HasAVX2

//go:noescape
func transpose8(to, from *byte, toStride, toStep, fromStride, fromStep, blocks int)

//go:noescape
func across8(to, from *byte, ends, positions, weights *int32, count, channels, first, half int)

//go:noescape
func down8(to, from *byte, stride int, weights *int32, count, n, half int)

//go:noescape
func floats8(to *float32, from *byte, n int)

//go:noescape
func add8(line *float32, row *byte, weight float32, n int)

// vectorAddRow is addRow with vectors, for a multiple of eight samples. It returns how many these are.
func vectorAddRow(line []float32, row []byte, weight float32) int {
	n := len(line) &^ 7
	if n > 0 {
		_ = row[n-1]
		add8(&line[0], &row[0], weight, n)
	}
	return n
}

// vectorDown is sumRows with vectors, from the first row that counts. If a row is not a whole number of
// vectors, the last vector overlaps the one before.
func vectorDown(to, rows []byte, stride int, weights []int32) {
	_ = rows[(len(weights)-1)*stride+len(to)-1] // what the loops below reach
	n := len(to) &^ 7
	down8(&to[0], &rows[0], stride, &weights[0], len(weights), n, rounding)
	if rest := len(to) - 8; n < len(to) {
		down8(&to[rest], &rows[rest], stride, &weights[0], len(weights), 8, rounding)
	}
}

// vectorFloats is toFloats with vectors.
func vectorFloats(to []float32, from []byte) {
	to = to[:len(from)]
	n := len(from) &^ 7
	floats8(&to[0], &from[0], n)
	if rest := len(from) - 8; n < len(from) {
		floats8(&to[rest], &from[rest], 8)
	}
}

// transposed puts n columns of eight rows side by side, column after column, or back into rows. If n is
// not a whole number of blocks, the last block overlaps the one before.
func transposed(to, from []byte, n, toStride, toStep, fromStride, fromStep int) {
	_, _ = to[7*toStride+(n-8)*toStep+7], from[7*fromStride+(n-8)*fromStep+7]
	transpose8(&to[0], &from[0], toStride, 8*toStep, fromStride, 8*fromStep, n/8)
	if rest := n - 8; n%8 > 0 {
		transpose8(&to[rest*toStep], &from[rest*fromStep], toStride, 8*toStep, fromStride, 8*fromStep, 1)
	}
}

// eight is pair for eight rows, which are stride bytes apart.
func (a *across) eight(to, rows []byte, stride int) {
	t := a.taps
	transposed(a.columns, rows[a.from*a.channels:], a.taken, 8, 8, stride, 1)
	across8(&a.made[0], &a.columns[0], &t.ends[0], &t.positions[0], &t.weights[0], len(t.ends), a.channels, a.from, rounding)
	transposed(to, a.made, a.width, a.width, 1, 8, 8)
}
