//go:build !turbojpeg

package pixels

const hasTurbo, turboFirst = false, false

func decodeInTurbo(header) (RGB, bool) { return RGB{}, false }
