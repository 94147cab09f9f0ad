//go:build !asan

package pixels

const underASan = false
