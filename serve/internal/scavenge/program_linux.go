package scavenge

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/forgo-ml/forgo/internal/cmemory"
)

// unmapUnused lets go of the pages of the program and its libraries, which are files. Those that are used
// again come back from the page cache, in a microsecond for several at once; those that only the start
// needed, most of them, do not.
func unmapUnused() {
	if !cmemory.Mapping.TryLock() {
		return
	}
	defer cmemory.Mapping.Unlock()
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	eachUnchanged(bufio.NewScanner(maps), func(from, to uintptr) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED) // an old kernel's refusal does no harm
	})
}

// eachUnchanged calls do for each private mapping of a file that holds the file's own bytes and can hold no
// others: not the writable ones, nor those that the loader has written to.
func eachUnchanged(smaps *bufio.Scanner, do func(from, to uintptr)) {
	var from, to uintptr
	for smaps.Scan() {
		fields := strings.Fields(smaps.Text())
		if len(fields) < 2 {
			continue
		}
		if !strings.HasSuffix(fields[0], ":") { // FROM-TO PERMISSIONS OFFSET DEVICE INODE PATH
			from, to = 0, 0
			if p := fields[1]; len(fields) >= 6 && strings.HasPrefix(fields[5], "/") && strings.HasSuffix(p, "p") && !strings.Contains(p, "w") {
				from, to = span(fields[0])
			}
			continue
		}
		switch fields[0] {
		case "Anonymous:", "Private_Hugetlb:", "Swap:": // bytes that are not the file's, even if they have been swapped out
			if fields[1] != "0" {
				from, to = 0, 0
			}
		}
		if fields[0] == "Swap:" && to > from { // the last of them
			do(from, to)
		}
	}
}

// span parses FROM-TO in hexadecimal, and returns nothing for anything else.
func span(text string) (from, to uintptr) {
	low, high, _ := strings.Cut(text, "-")
	a, errA := strconv.ParseUint(low, 16, strconv.IntSize)
	b, errB := strconv.ParseUint(high, 16, strconv.IntSize)
	if errA != nil || errB != nil {
		return 0, 0
	}
	return uintptr(a), uintptr(b)
}
