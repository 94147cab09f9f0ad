package main

// What forgo predict finds in folders. src/forgo/_walk.py is its twin, for training and export;
// tests/test_walk.py holds both to the same folders.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/predict/pixels"
)

// Reasons to skip a file.
const (
	noPicture = "no picture"
	noRow     = "no row (.json)"
	clutter   = "hidden, or left by an archiver"
	dangling  = "a link to nothing"
	irregular = "no regular file"
	visited   = "a link to a folder that is walked already"
)

// pictureNames lists the endings of picture files: of formats that forgo decodes, and of formats that it refuses
// file by file instead of skipping them.
func pictureNames() (endings []string) {
	for _, f := range pixels.Formats {
		endings = append(endings, f.Endings...)
	}
	return append(endings, ".heic", ".heif", ".avif", ".jp2", ".jxl")
}

// leftOut counts a folder's skipped files by reason, and remembers the first file for each.
type leftOut struct {
	root    string
	reasons []string
	files   map[string]string // the first of each
	counts  map[string]int
	kept    int
}

func (l *leftOut) add(path, why string) {
	if l.counts == nil {
		l.counts, l.files = map[string]int{}, map[string]string{}
	}
	if l.counts[why]++; l.counts[why] == 1 {
		rel, err := filepath.Rel(l.root, path)
		if err != nil {
			rel = path
		}
		l.reasons = append(l.reasons, why)
		l.files[why] = rel
	}
}

// String says it in a line, "" for nothing.
func (l *leftOut) String() string {
	var said []string
	all := 0
	for _, why := range l.reasons {
		all += l.counts[why]
		said = append(said, fmt.Sprintf("%s: %d (%s)", why, l.counts[why], l.files[why]))
	}
	if all == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %d of %d files are left out: %s", l.root, all, all+l.kept, strings.Join(said, "; "))
}

// folder asks the pictures below a folder, or the rows for a model that takes no pictures alone. What
// it leaves out is noted.
func (a *asker) folder(root string) error {
	judge, what := judgeRow, "rows (.json)"
	if a.pictureAlone() {
		judge, what = judgePicture, "pictures"
	}
	left := leftOut{root: root}
	var walk func(folder string) error
	seen := map[string]bool{}
	walk = func(folder string) error {
		real, err := filepath.EvalSymlinks(folder)
		if err != nil {
			left.add(folder, reason(err).Error())
			return nil
		}
		if seen[real] {
			left.add(folder, visited)
			return nil
		}
		seen[real] = true
		entries, err := os.ReadDir(folder)
		if err != nil && folder == root {
			return reason(err)
		}
		if err != nil {
			left.add(folder, reason(err).Error())
			return nil
		}
		for _, entry := range entries {
			path := filepath.Join(folder, entry.Name())
			if a.ended {
				return nil
			}
			if isClutter(entry.Name()) {
				left.add(path, clutter)
				continue
			}
			info, err := os.Stat(path)
			if err == nil && info.IsDir() {
				if err := walk(path); err != nil {
					return err
				}
				continue
			}
			why := irregular
			switch {
			case err != nil && entry.Type()&fs.ModeSymlink != 0:
				why = dangling
			case err != nil:
				why = reason(err).Error()
			case info.Mode().IsRegular():
				why = judge(path)
			}
			if why != "" {
				left.add(path, why)
				continue
			}
			left.kept++
			a.whole(path, readFile)
		}
		return nil
	}
	if err := walk(root); err != nil {
		return err
	}
	note := left.String()
	if left.kept == 0 && !a.ended {
		if note != "" {
			note = " (" + note + ")"
		}
		return fmt.Errorf("the folder has no %s%s", what, note)
	}
	if note != "" {
		a.notes = append(a.notes, note)
	}
	return nil
}

func isClutter(name string) bool {
	return strings.HasPrefix(name, ".") || name == "__MACOSX" || name == "@eaDir" || name == "lost+found"
}

func judgeRow(path string) string {
	if strings.EqualFold(filepath.Ext(path), ".json") {
		return ""
	}
	return noRow
}

// judgePicture tells a picture by its first bytes, or by its name, for its decoder to refuse.
func judgePicture(path string) string {
	if slices.Contains(pictureNames(), strings.ToLower(filepath.Ext(path))) {
		return ""
	}
	file, err := regular.Open(path)
	if err != nil {
		return reason(err).Error()
	}
	defer file.Close()
	start := make([]byte, 32)
	n, err := io.ReadFull(file, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return reason(err).Error()
	}
	if pixels.Sniff(start[:n]) == "" {
		return noPicture
	}
	return ""
}
