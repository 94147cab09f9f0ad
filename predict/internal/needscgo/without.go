//go:build !cgo

package needscgo

// The compiler shows this name.
var _ = forgo_calls_C_libraries__build_with_CGO_ENABLED_1_and_a_C_compiler
