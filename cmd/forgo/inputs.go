package main

// The inputs of forgo predict: files, folders of them, files of rows, standard input.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/forgo-ml/forgo/internal/regular"
	"github.com/forgo-ml/forgo/predict"
	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// question is one thing to answer.
type question struct {
	file string // as it was given, or found in a folder
	row  int    // from 1 in a file of rows, else 0
	read func() (content, error)
	err  error // in place of read: the file, or the rest of it, cannot be read
}

// content is what the model is asked, and the values that are kept beside it.
type content struct {
	raw    []byte     // a picture or a row of JSON
	inputs tensor.Map // in its place: a batch of one
	kept   [][]byte   // JSON, for each column of asker.keep; nil where the row has none
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
	keep  []string // columns to keep beside the answers
	stdin io.Reader
	ask   func(question) bool // false ends it
	ended bool
	notes []string // what to report at the end
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
		return a.pattern(path, reason(err))
	case info.IsDir():
		return a.folder(path)
	}
	kind := strings.ToLower(filepath.Ext(path))
	switch kind {
	case ".jsonl", ".ndjson", ".json", ".npy", ".npz", ".csv":
		file, err := os.Open(path)
		if err != nil {
			return reason(err)
		}
		defer file.Close()
		if kind == ".npz" && info.Mode().IsRegular() {
			return a.archive(path, file, info.Size())
		}
		return a.stream(path, kind, file)
	case ".parquet":
		return a.parquet(path)
	}
	a.whole(path, readNamed)
	return nil
}

// pattern asks what the files that a pattern names stand for, where the shell has left it as it is. missing is the
// error if it names none.
func (a *asker) pattern(pattern string, missing error) error {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		return missing
	}
	for _, path := range paths {
		if a.ended {
			break
		}
		if err := a.file(path); err != nil {
			a.fail(path, err)
		}
	}
	return nil
}

// fail reports a file, or the rest of one, that cannot be read.
func (a *asker) fail(path string, err error) {
	a.send(question{file: path, err: err})
}

// whole asks a file's content: a picture, or a row, which may name its picture's file.
func (a *asker) whole(path string, read func(string) ([]byte, error)) {
	a.send(question{file: path, read: func() (content, error) {
		raw, err := read(path)
		if err == nil && strings.EqualFold(filepath.Ext(path), ".json") {
			return a.json(filepath.Dir(path), raw)
		}
		return content{raw: raw}, err
	}})
}

func (a *asker) send(q question) { a.ended = a.ended || !a.ask(q) }

// stream asks the rows of a file; kind is its ending, or "" to look at how it begins.
func (a *asker) stream(path, kind string, from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	if kind == "" || kind == ".npz" {
		start, err := in.Peek(12)
		switch {
		case len(start) == 0 && errors.Is(err, io.EOF):
			return errors.New("it is empty")
		case len(start) == 0:
			return reason(err)
		case pixels.Sniff(start) != "":
			raw, err := readAll(in)
			if err == nil {
				a.send(question{file: path, read: func() (content, error) { return content{raw: raw}, nil }})
			}
			return err
		case bytes.HasPrefix(start, []byte(payload.NPYMagic)):
			kind = ".npy"
		case bytes.HasPrefix(start, []byte(payload.ZipMagic)):
			raw, err := readAll(in)
			if err != nil {
				return err
			}
			return a.archive(path, bytes.NewReader(raw), int64(len(raw)))
		case bytes.ContainsAny(bytes.TrimLeft(start, " \t\r\n\ufeff")[:min(1, len(bytes.TrimLeft(start, " \t\r\n\ufeff")))], `{["`):
			kind = ".jsonl"
		default:
			kind = ".csv"
		}
	}
	switch kind {
	case ".npy":
		return a.array(path, in, -1)
	case ".csv":
		return a.table(path, in)
	case ".json":
		return a.value(path, in)
	}
	return a.lines(path, in)
}

// value asks a file's one JSON value, a row or a list of rows.
func (a *asker) value(path string, in io.Reader) error {
	raw, err := readAll(in)
	if err != nil {
		return err
	}
	rows, list := a.rows(raw)
	for i, row := range rows {
		number := i + 1
		if !list {
			number = 0
		}
		a.send(question{file: path, row: number, read: func() (content, error) { return a.json(filepath.Dir(path), row) }})
	}
	if len(rows) == 0 {
		return errNoRows
	}
	return nil
}

// rows takes a list of rows apart, which it tells from one row as the server does.
func (a *asker) rows(text []byte) (rows [][]byte, list bool) {
	r := payload.New(text)
	if !r.Several(a.takes) {
		return [][]byte{text}, false
	}
	err := r.List(func(int) error {
		row, err := r.Raw()
		rows = append(rows, row)
		return err
	})
	if err == nil {
		err = r.End()
	}
	// Reading it as a row says so, too.
	if err != nil {
		return [][]byte{text}, false
	}
	return rows, true
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
		if text := bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff"))); len(text) > 0 {
			found = true
			rows, _ := a.rows(text)
			for _, one := range rows {
				a.send(question{file: path, row: row, read: func() (content, error) { return a.json(folder, one) }})
			}
		}
		if err != nil {
			break
		}
	}
	if !found && !a.ended {
		return errNoRows
	}
	return nil
}

// json is a row of JSON: what it keeps, and what the model takes of it.
func (a *asker) json(folder string, row []byte) (c content, err error) {
	if row, c.kept, err = a.split(row); err == nil {
		c.raw, err = a.withPicture(folder, row)
	}
	return c, err
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

// readNamed reads a file that the command line names, which may be a pipe.
func readNamed(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer file.Close()
	return readAll(file)
}

// readFile reads a file that was found, or that a row names: nothing that may block.
func readFile(path string) ([]byte, error) {
	file, err := regular.Open(path)
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
func answerOne(ctx context.Context, model answerer, q question) (a predict.Answer, kept [][]byte, err error) {
	c, err := q.read()
	switch {
	case err != nil:
	case c.inputs != nil:
		a, err = model.AnswerInputs(ctx, c.inputs)
	default:
		a, err = model.Answer(ctx, c.raw)
	}
	return a, c.kept, err
}
