//go:build amd64 || arm64

package pure

import "unsafe"

// walk8 walks a row down groups of eight trees, and returns the sum of what their leaves give.
//
//go:noescape
func walk8(nodes *packedNode[float32], roots, steps *int32, groups int, x, leaves *float32) (sum float32)

// walk is plain, for float32 in assembly.
func (f *packed[T]) walk(x, leaves []T) T {
	if unsafe.Sizeof(x[0]) != 4 {
		return f.plain(x, leaves)
	}
	_ = leaves[len(f.roots)-1]
	node, row, to := unsafe.Pointer(&f.nodes[0]), unsafe.Pointer(&x[0]), unsafe.Pointer(&leaves[0])
	return T(walk8((*packedNode[float32])(node), &f.roots[0], &f.steps[0], len(f.steps), (*float32)(row), (*float32)(to)))
}
