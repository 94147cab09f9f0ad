package main

// Which C libraries this process has loaded, and their versions.

import (
	"bufio"
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/predict/engines"
)

// loadedLibraries lists the shared libraries of this process by path, in the order of their names.
// known has the versions that libraries report themselves. A version that cannot be found is "".
func loadedLibraries(known ...engines.Library) []engines.Library {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer maps.Close()
	var paths []string
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// address permissions offset device inode path: the path may have spaces in it
		if fields := strings.SplitN(lines.Text(), " /", 2); len(fields) == 2 && isLibrary.MatchString(fields[1]) {
			paths = append(paths, "/"+fields[1])
		}
	}
	slices.Sort(paths)
	var out []engines.Library
	for _, path := range slices.Compact(paths) {
		out = append(out, engines.Library{Path: path, Version: libraryVersion(path, known)})
	}
	slices.SortStableFunc(out, func(a, b engines.Library) int {
		return strings.Compare(filepath.Base(a.Path), filepath.Base(b.Path))
	})
	return out
}

var (
	isLibrary   = regexp.MustCompile(`\.so(\.[0-9.]+)?$`)
	fileVersion = regexp.MustCompile(`\.so\.([0-9]+(?:\.[0-9]+)+)$`)
	glibcBanner = regexp.MustCompile(`GNU C Library [^\n]* version ([0-9.]+[0-9])`)
	nodeVersion = regexp.MustCompile(`^[A-Z]+_([0-9]+(?:\.[0-9]+)+)$`)
)

// libraryVersion asks, in this order, the engines, the file's name, glibc's banner and the newest
// version that the library's symbols have.
func libraryVersion(path string, known []engines.Library) string {
	for _, k := range known {
		real, err := filepath.EvalSymlinks(k.Path)
		if k.Path == path || err == nil && real == path {
			return k.Version
		}
		// An engine may come in several libraries.
		if filepath.Dir(k.Path) == filepath.Dir(path) && stem(k.Path) == stem(path) {
			return k.Version
		}
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		if found := fileVersion.FindStringSubmatch(real); found != nil {
			return found[1]
		}
	}
	file, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	nodes, err := file.DynamicVersions()
	if err != nil {
		return ""
	}
	newest := ""
	for _, node := range nodes {
		if strings.HasPrefix(node.Name, "GLIBC_") {
			if version := glibcVersion(filepath.Dir(path)); version != "" {
				return version
			}
		}
		if found := nodeVersion.FindStringSubmatch(node.Name); found != nil {
			newest = found[1] // they are listed oldest first
		}
	}
	return newest
}

// stem is how the names of an engine's libraries begin: "libtensorflow" of libtensorflow_cc.so.2.
func stem(path string) string {
	name := filepath.Base(path)
	if i := strings.IndexAny(name, "_-."); i >= 0 {
		name = name[:i]
	}
	return name
}

// glibcVersion reads the C library of a folder: the libraries beside it are of the same release.
func glibcVersion(folder string) string {
	data, err := os.ReadFile(filepath.Join(folder, "libc.so.6"))
	if err != nil {
		return ""
	}
	if found := glibcBanner.FindSubmatch(data); found != nil {
		return string(found[1])
	}
	return ""
}
