package jpeg

import "bytes"

// source hands out a scan's coded data, segment by segment between its restart markers.
type source struct {
	bitReader
	data   []byte // what is left of the scan
	buffer []byte // the segment's, used again
	marker int    // the marker ahead, 0 where it was passed over, none at the end
	number int    // of the restart marker expected next
	empty  bool   // the segment is used up: what is left of it decodes to nothing
}

const none = -1

// start begins a scan.
func (s *source) start(data []byte) {
	s.data, s.number, s.empty = data, 0, false
	s.load()
}

// load reads up to the next marker, and leaves s.data after it.
func (s *source) load() {
	s.buffer = s.buffer[:0]
	s.marker = none
	for len(s.data) > 0 {
		i := bytes.IndexByte(s.data, 0xff)
		if i < 0 {
			s.buffer = append(s.buffer, s.data...)
			s.data = nil
			break
		}
		j := i + 1
		for j < len(s.data) && s.data[j] == 0xff {
			j++
		}
		if j == len(s.data) {
			s.buffer = append(s.buffer, s.data[:i]...)
			s.data = nil
			break
		}
		c := s.data[j]
		if c != 0 {
			s.buffer = append(s.buffer, s.data[:i]...)
			s.data, s.marker = s.data[j+1:], int(c)
			break
		}
		s.buffer = append(s.buffer, s.data[:i+1]...)
		s.data = s.data[j+1:]
	}
	length := len(s.buffer)
	s.buffer = append(s.buffer, make([]byte, pad)...)
	s.bitReader = bitReader{segment: s.buffer, length: length}
}

// restart goes on to the segment after the expected marker. Where another is in its place, it does
// what libjpeg does (jpeg_resync_to_restart): up to two ahead of the expected, the segment is
// missing; up to two behind, it is passed over; any other is taken for the expected one.
func (s *source) restart() {
	expected := s.number
	s.number = (expected + 1) & 7
	for s.marker != none {
		switch (s.marker - markerRST0 - expected) & 7 {
		case 1, 2:
			s.bitReader = bitReader{}
			return
		case 6, 7:
			s.load()
		default:
			s.load()
			s.empty = false
			return
		}
	}
	s.bitReader = bitReader{}
}
