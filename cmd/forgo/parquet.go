package main

// Rows in Parquet, which the Python package reads.

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// parquetReader names the Python interpreter of the package that started this process.
const parquetReader = "FORGO_PARQUET"

// maxReason bounds what is kept of the reader's error.
const maxReason = 64 << 10

// parquet asks the rows of a Parquet file, which Python writes as JSON lines.
func (a *asker) parquet(path string) error {
	python := os.Getenv(parquetReader)
	if python == "" {
		return errors.New("this program cannot read Parquet: use the forgo command of the Python package, or give CSV or JSON lines")
	}
	whole, err := filepath.Abs(path) // which cannot be taken for an option
	if err != nil {
		return err
	}
	said := &head{most: maxReason}
	reader := exec.Command(python, "-P", "-m", "forgo._parquet", whole)
	reader.Stderr = said
	rows, err := reader.StdoutPipe()
	if err != nil {
		return err
	}
	if err := reader.Start(); err != nil {
		return fmt.Errorf("start %s, which %s names: %w", python, parquetReader, reason(err))
	}
	asked := a.lines(path, bufio.NewReaderSize(rows, 64<<10))
	_ = rows.Close() // it ends if nobody reads on
	ended := reader.Wait()
	switch {
	case a.ended || ended == nil:
		return asked
	case asked != nil && !errors.Is(asked, errNoRows):
		return asked
	}
	lines := strings.Split(strings.TrimSpace(string(said.text)), "\n")
	return errors.New(cmp.Or(lines[len(lines)-1], ended.Error()))
}

// head keeps the beginning of what is written to it.
type head struct {
	text []byte
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), h.most-len(h.text))]...)
	return len(p), nil
}
