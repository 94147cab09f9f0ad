package compress

// Compressed messages over gRPC: gzip, and deflate, which clients in C++ and Python offer beside it
// and Go's gRPC does not bring.

import (
	"compress/zlib"
	"io"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers itself
)

// gRPC keeps one list of codings for the process, which is only to be changed at its start.
func init() { encoding.RegisterCompressor(deflate{}) }

// deflate is zlib's format, as HTTP and gRPC call it so.
type deflate struct{}

func (deflate) Name() string { return "deflate" }

func (deflate) Compress(w io.Writer) (io.WriteCloser, error) {
	return zlib.NewWriterLevel(w, zlib.BestSpeed)
}

func (deflate) Decompress(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
