package main

// The server's log.

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"
)

type logFlags struct{ format, level string }

func (f *logFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.format, "log-format", "auto", "json, text, or auto: text on a terminal and json elsewhere")
	flags.StringVar(&f.level, "log-level", "info", "debug, info, warn or error; debug logs every request, the others only failed ones")
}

// logger writes to w.
func (f *logFlags) logger(w *logWriter) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level must be debug, info, warn or error, not %q", f.level)}
	}
	options := &slog.HandlerOptions{Level: level}
	var handler func(io.Writer) slog.Handler
	switch {
	case f.format == "text", f.format == "auto" && isTerminal(w.out):
		handler = func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) }
	case f.format == "json", f.format == "auto":
		handler = func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) }
	default:
		return nil, usageError{fmt.Errorf("--log-format must be json, text or auto, not %q", f.format)}
	}
	w.lost = func(lines uint64) []byte {
		var line bytes.Buffer
		slog.New(handler(&line)).Warn("lines of the log were lost: nobody read them in time", "lines", lines)
		return line.Bytes()
	}
	return slog.New(handler(w)), nil
}

func isTerminal(w io.Writer) bool {
	if above, ok := w.(interface{ Unwrap() io.Writer }); ok {
		w = above.Unwrap()
	}
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
