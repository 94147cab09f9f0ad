package pure

import "golang.org/x/sys/cpu"

// hasVectors says that float32 elements are computed eight at a time.
var hasVectors = cpu.X86.HasAVX2 && cpu.X86.HasFMA
