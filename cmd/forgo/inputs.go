package main

// What forgo predict is given: files, folders of them, files of rows, standard input.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/pixels"
)

// question is one thing to answer.
type question struct {
	file string // as it was given, or found in a folder
	row  int    // from 1 in a file of rows, else 0
	read func() ([]byte, error)
}

// String names it on stderr and in tables.
func (q question) String() string {
	if q.row > 0 {
		return fmt.Sprintf("%s:%d", q.file, q.row)
	}
	return q.file
}

const (
	maxInput = 1 << 30  // bytes of one picture or row in a file of its own
	maxLine  = 64 << 20 // bytes of one row among others
	stdin    = "-"
)

// asker turns what the command line names into questions, one at a time: neither a folder nor a file
// of rows is ever held whole.
type asker struct {
	takes payload.Inputs
	stdin io.Reader
	ask   func(question) bool // false ends it
	ended bool
}

// file asks what one argument stands for. Its error is about the argument as a whole, or about what
// follows the questions that were asked.
func (a *asker) file(path string) error {
	if path == stdin {
		return a.stream(path, "", a.stdin)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return reason(err)
	case info.IsDir():
		return a.folder(path)
	}
	kind := strings.ToLower(filepath.Ext(path))
	switch kind {
	case ".jsonl", ".npy", ".csv":
		file, err := os.Open(path)
		if err != nil {
			return reason(err)
		}
		defer file.Close()
		return a.stream(path, kind, file)
	}
	a.whole(path)
	return nil
}

// whole asks a file's content: a picture, or a row, which may name its picture's file.
func (a *asker) whole(path string) {
	a.send(question{file: path, read: func() ([]byte, error) {
		raw, err := readFile(path)
		if err == nil && strings.EqualFold(filepath.Ext(path), ".json") {
			raw, err = a.withPicture(filepath.Dir(path), raw)
		}
		return raw, err
	}})
}

func (a *asker) send(q question) { a.ended = a.ended || !a.ask(q) }

// folder asks the pictures below a folder, or the rows for a model that takes no pictures alone.
func (a *asker) folder(root string) error {
	endings, what := []string{".json"}, "rows (.json)"
	if a.pictureAlone() {
		endings = nil
		for _, f := range pixels.Formats {
			endings = append(endings, f.Endings...)
		}
		what = "pictures (" + strings.Join(endings, ", ") + ")"
	}
	found := false
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return reason(err)
		case a.ended:
			return fs.SkipAll
		case path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "__MACOSX"):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		}
		for _, ending := range endings {
			if strings.EqualFold(filepath.Ext(path), ending) {
				found = true
				a.whole(path)
				return nil
			}
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("there are no %s in the folder", what)
	}
	return err
}

// stream asks the rows of a file; kind is its ending, or "" to look at how it begins.
func (a *asker) stream(path, kind string, from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	if kind == "" {
		start, err := in.Peek(12)
		switch {
		case len(start) == 0 && errors.Is(err, io.EOF):
			return errors.New("it is empty")
		case len(start) == 0:
			return reason(err)
		case pixels.Sniff(start) != "":
			raw, err := readAll(in)
			if err == nil {
				a.send(question{file: path, read: func() ([]byte, error) { return raw, nil }})
			}
			return err
		case string(start[:min(6, len(start))]) == npyMagic:
			kind = ".npy"
		case bytes.ContainsAny(bytes.TrimLeft(start, " \t\r\n\ufeff")[:min(1, len(bytes.TrimLeft(start, " \t\r\n\ufeff")))], `{["`):
			kind = ".jsonl"
		default:
			kind = ".csv"
		}
	}
	switch kind {
	case ".npy":
		return a.array(path, in)
	case ".csv":
		return a.table(path, in)
	}
	return a.lines(path, in)
}

// lines asks each line of JSON. A picture is {"file": "PATH"}, from the folder of the file of rows on.
func (a *asker) lines(path string, in *bufio.Reader) error {
	folder := filepath.Dir(path)
	found := false
	for row := 1; !a.ended; row++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", row, err)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			found = true
			a.send(question{file: path, row: row, read: func() ([]byte, error) { return a.withPicture(folder, text) }})
		}
		if err != nil {
			break
		}
	}
	if !found && !a.ended {
		return errors.New("there are no rows in it")
	}
	return nil
}

func (a *asker) pictureAlone() bool { return a.takes.Picture && len(a.takes.Specs) == 0 }

// withPicture is a row as the model takes it: with its picture, where that is named by its file.
func (a *asker) withPicture(folder string, row []byte) ([]byte, error) {
	if !a.takes.Picture {
		return row, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(row, &values); err != nil {
		return nil, fmt.Errorf(`want {"%s": {"file": "PATH"}}: %w`, payload.Picture, err)
	}
	if file, ok := values["file"]; ok && len(values) == 1 {
		values = map[string]json.RawMessage{payload.Picture: json.RawMessage(`{"file":` + string(file) + `}`)}
	}
	for name, value := range values {
		var picture struct {
			File *string `json:"file"`
			B64  []byte  `json:"b64"`
		}
		if json.Unmarshal(value, &picture) != nil || picture.File == nil && picture.B64 == nil {
			continue
		}
		raw := picture.B64
		if picture.File != nil {
			path := *picture.File
			if !filepath.IsAbs(path) {
				path = filepath.Join(folder, path)
			}
			var err error
			if raw, err = readFile(path); err != nil {
				return nil, fmt.Errorf("picture %q: %w", *picture.File, err)
			}
		}
		if a.pictureAlone() {
			return raw, nil
		}
		if picture.File != nil {
			delete(values, name)
			encoded, err := json.Marshal(map[string][]byte{"b64": raw})
			if err != nil {
				return nil, err
			}
			values[payload.Picture] = encoded
			return json.Marshal(values)
		}
	}
	if a.pictureAlone() {
		return nil, fmt.Errorf(`want {"%s": {"file": "PATH"}}`, payload.Picture)
	}
	return row, nil
}

// readLine reads a line without its end; io.EOF comes with the last.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("it is longer than %d bytes", maxLine)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimRight(line, "\r\n"), err
		}
	}
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer file.Close()
	return readAll(file)
}

func readAll(from io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(raw) > maxInput {
		return nil, fmt.Errorf("it is longer than %d bytes", maxInput)
	}
	return raw, nil
}

// reason is what went wrong with a file that the message names already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// answerOne reads and answers a question.
func answerOne(ctx context.Context, model answerer, q question) (predict.Answer, error) {
	raw, err := q.read()
	if err != nil {
		return predict.Answer{}, err
	}
	return model.Answer(ctx, raw)
}
