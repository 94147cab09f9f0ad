package pure

// hasVectors says that float32 elements are computed four at a time. Every arm64 processor has NEON.
var hasVectors = true
