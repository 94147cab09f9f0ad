package connection

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// Heads are found wherever what passes is cut.
func TestFramesAreFound(t *testing.T) {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	b.WriteString(http2.ClientPreface)
	_ = f.WriteSettings()
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("abc"), EndHeaders: true})
	_ = f.WriteData(1, false, make([]byte, 300))
	_ = f.WriteData(3, true, nil)
	_ = f.WriteRSTStream(5, http2.ErrCodeCancel)
	want := []frame{
		{0, http2.FrameSettings, 0, 0},
		{3, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1},
		{300, http2.FrameData, 0, 1},
		{0, http2.FrameData, http2.FlagDataEndStream, 3},
		{4, http2.FrameRSTStream, 0, 5},
	}
	for step := 1; step <= b.Len(); step++ {
		s := scanner{skip: len(http2.ClientPreface)}
		var got []frame
		for piece := range slices.Chunk(b.Bytes(), step) {
			s.scan(piece, func(h frame) { got = append(got, h) })
		}
		if !slices.Equal(got, want) {
			t.Fatalf("in pieces of %d: %v, want %v", step, got, want)
		}
	}
}
