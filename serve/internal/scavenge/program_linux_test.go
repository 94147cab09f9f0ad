package scavenge

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// mapped maps a file's bytes privately and reads them, so that they are resident.
func mapped(t *testing.T, path string, protection int) []byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), protection, syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(m) })
	_ = bytes.Count(m, []byte{0})
	return m
}

// resident returns how many KiB of a mapping are resident.
func resident(t *testing.T, m []byte) int {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(smaps, []byte(strconv.FormatUint(uint64(uintptr(unsafe.Pointer(&m[0]))), 16)+"-"))
	if !ok {
		t.Fatal("the mapping is not in smaps")
	}
	_, rest, _ = bytes.Cut(rest, []byte("\nRss:"))
	n, err := strconv.Atoi(strings.Fields(string(rest))[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// After the start only what is used of a program's files is resident, and what its loader wrote stays.
func TestUnusedPagesOfFilesLeave(t *testing.T) {
	want := bytes.Repeat([]byte("forgo "), 1<<20/6)
	path := filepath.Join(t.TempDir(), "library.so")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	clean := mapped(t, path, syscall.PROT_READ)
	relocated := mapped(t, path, syscall.PROT_READ|syscall.PROT_WRITE)
	relocated[100]++
	if err := syscall.Mprotect(relocated, syscall.PROT_READ); err != nil {
		t.Fatal(err)
	}
	written := mapped(t, path, syscall.PROT_READ|syscall.PROT_WRITE)
	written[200]++
	if n := resident(t, clean); n < len(want)>>10 {
		t.Fatalf("%d KiB are resident before", n)
	}
	AfterStart()
	if n := resident(t, clean); n != 0 {
		t.Errorf("%d KiB are resident, want none", n)
	}
	if !bytes.Equal(clean, want) {
		t.Error("a file's bytes have changed")
	}
	if relocated[100] != want[100]+1 || written[200] != want[200]+1 {
		t.Error("a change is lost")
	}
}

func TestOnlyUnchangedMappingsLeave(t *testing.T) {
	const smaps = `1000-2000 r--p 00000000 fe:00 12 /usr/bin/forgo
Rss: 4 kB
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
SwapPss:               0 kB
VmFlags: rd mr mw me sd
2000-3000 r-xp 00000000 fe:00 12 /usr/bin/for go
Anonymous:             0 kB
Swap:                  0 kB
3000-4000 r--p 00000000 fe:00 12 /usr/bin/forgo
Anonymous:             4 kB
Swap:                  0 kB
4000-5000 rw-p 00000000 fe:00 12 /usr/bin/forgo
Anonymous:             0 kB
Swap:                  0 kB
5000-6000 r--s 00000000 fe:00 12 /dev/shm/x
Anonymous:             0 kB
Swap:                  0 kB
6000-7000 r--p 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
7000-8000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
Swap:                  0 kB
8000-9000 r--p 00000000 fe:00 12 /usr/lib/relocated-and-swapped-out.so
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  4 kB
9000-a000 r-xp 00000000 00:0f 12 /anon_hugepage (deleted)
Anonymous:             0 kB
Private_Hugetlb:    2048 kB
Swap:                  0 kB
what-else r-xp 00000000 fe:00 12 /usr/bin/forgo
Anonymous:             0 kB
Swap:                  0 kB
`
	var got []uintptr
	eachUnchanged(bufio.NewScanner(strings.NewReader(smaps)), func(from, to uintptr) { got = append(got, from, to) })
	if want := []uintptr{0x1000, 0x2000, 0x2000, 0x3000}; !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}
