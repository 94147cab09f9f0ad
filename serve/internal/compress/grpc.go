package compress

// Compression of gRPC messages with gzip and deflate. gRPC clients in C++ and Python offer deflate too,
// which grpc-go lacks.

import (
	"compress/zlib"
	"io"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers itself
)

// gRPC has one list of codings for the process, which may only change at its start.
func init() { encoding.RegisterCompressor(deflate{}) }

// deflate is zlib's format, which HTTP and gRPC call deflate.
type deflate struct{}

func (deflate) Name() string { return "deflate" }

func (deflate) Compress(w io.Writer) (io.WriteCloser, error) {
	return zlib.NewWriterLevel(w, zlib.BestSpeed)
}

func (deflate) Decompress(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
