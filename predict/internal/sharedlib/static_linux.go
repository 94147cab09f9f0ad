package sharedlib

import (
	"debug/elf"
	"slices"
)

// static reports whether this program has no dynamic linker. glibc's dlopen would then load a second C
// library, which crashes the program.
func static() bool {
	file, err := elf.Open("/proc/self/exe")
	if err != nil {
		return false // as when /proc is not mounted
	}
	defer file.Close()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}
