package regular_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/forgo-ml/forgo/internal/fifotest"
	"github.com/forgo-ml/forgo/internal/regular"
)

func TestRead(t *testing.T) {
	folder := t.TempDir()
	file, fifo, link := filepath.Join(folder, "file"), filepath.Join(folder, "fifo"), filepath.Join(folder, "link")
	if err := errors.Join(os.WriteFile(file, []byte("twelve bytes"), 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	fifotest.Make(t, fifo)
	for name, c := range map[string]struct {
		path  string
		limit int64
		want  string // of the error; "": it is read
	}{
		"a file":              {file, 12, ""},
		"a link to it":        {link, 12, ""},
		"a longer one":        {file, 11, "it is longer than 11 bytes"},
		"a FIFO":              {fifo, 12, "it is a FIFO, where a regular file is needed"},
		"a folder":            {folder, 12, "it is a folder"},
		"a device":            {"/dev/zero", 12, "it is a device"},
		"a file that is gone": {file + "x", 12, "no such file"},
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			data, err := regular.Read(c.path, c.limit)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || err == nil && string(data) != "twelve bytes" {
				t.Errorf("%s: %q, %v; want %q", name, data, err, c.want)
			}
			if path := (*fs.PathError)(nil); err != nil && (!errors.As(err, &path) || path.Path != c.path) {
				t.Errorf("%s: %v does not name the file", name, err)
			}
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: reading waits", name)
		}
	}
}
