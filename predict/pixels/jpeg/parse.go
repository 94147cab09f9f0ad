package jpeg

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Markers, ITU-T T.81 table B.1.
const (
	markerSOF0  = 0xc0
	markerSOF2  = 0xc2
	markerDHT   = 0xc4
	markerDAC   = 0xcc
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
	markerAPP15 = 0xef
	markerCOM   = 0xfe
)

const truncated = "it is a truncated JPEG"

// parser reads the segments. src/forgo/_jpeg.py reads the same bytes by the same rules, in the same order
// and with the same messages.
type parser struct {
	*File
	dht     [2][4]*huffmanSpec
	dqt     [4]*[64]uint16
	latched [4]bool // has a scan used the component's quantization table?
	restart int
	// bits holds the lowest bit of each coefficient that scans have given, or -1 for none.
	bits [4][64]int
}

// Parse checks a whole file. maxPixels bounds width times height. Parse checks the size before it
// allocates memory for it.
func Parse(data []byte, maxPixels int) (*File, error) {
	p := parser{File: &File{data: data}}
	for c := range p.bits {
		for k := range p.bits[c] {
			p.bits[c][k] = -1
		}
	}
	if !bytes.HasPrefix(data, []byte{0xff, markerSOI}) {
		return nil, refuse("not a JPEG")
	}
	for at := 2; ; {
		for at < len(data) && data[at] != 0xff { // bytes between segments are skipped, as libjpeg does
			at++
		}
		for at < len(data) && data[at] == 0xff {
			at++
		}
		if at >= len(data) {
			return nil, refuse(truncated)
		}
		marker := data[at]
		at++
		switch {
		case marker <= 0x01 || marker >= markerRST0 && marker <= markerRST7:
			continue // stands alone
		case marker == markerEOI:
			if err := p.complete(); err != nil {
				return nil, err
			}
			return p.File, nil
		case marker == markerSOI:
			return nil, refuse("a second JPEG starts inside it")
		}
		if at+2 > len(data) {
			return nil, refuse(truncated)
		}
		n := int(binary.BigEndian.Uint16(data[at:]))
		if n < 2 || at+n > len(data) {
			return nil, refuse(truncated)
		}
		segment, start := data[at+2:at+n], at-2
		at += n
		err := p.segment(marker, segment, maxPixels)
		if err == nil && marker == markerSOS {
			at, err = p.codedData(at)
		}
		if err != nil {
			return nil, err
		}
		if marker < markerAPP0 {
			if len(p.kept) == maxSegments {
				return nil, refuse("it has more than %d tables and headers", maxSegments)
			}
			p.kept = append(p.kept, span{start, at})
		}
	}
}

func (p *parser) segment(marker byte, s []byte, maxPixels int) error {
	switch {
	case marker >= markerSOF0 && marker <= markerSOF2:
		return p.frame(marker, s, maxPixels)
	case marker == markerDHT:
		return p.huffmanTables(s)
	case marker == markerDQT:
		return p.quantizationTables(s)
	case marker == markerDRI:
		if len(s) != 2 {
			return refuse("its restart interval is %d bytes long", len(s))
		}
		p.restart = int(binary.BigEndian.Uint16(s))
	case marker == markerSOS:
		return p.scanHeader(s)
	case marker == markerAPP0 && len(p.scans) == 0 && len(s) >= 14 && bytes.HasPrefix(s, []byte("JFIF\x00")):
		p.jfif = true
	case marker == markerAPP14 && len(p.scans) == 0 && len(s) >= 12 && bytes.HasPrefix(s, []byte("Adobe")):
		p.adobe, p.transform = true, s[11]
	case marker == markerAPP1 && len(p.scans) == 0 && p.EXIF == nil && bytes.HasPrefix(s, []byte("Exif\x00\x00")):
		p.EXIF = s[6:]
	case marker >= markerAPP0 && marker <= markerAPP15 || marker == markerCOM:
	case marker == markerDAC || marker >= 0xc3 && marker <= 0xcf && marker != 0xc8:
		return refuse("it is a JPEG of a kind without a stated rule (lossless, hierarchical or arithmetic)")
	default:
		return refuse("it has a marker FF%02X, for which no rule is stated", marker)
	}
	return nil
}

func (p *parser) frame(marker byte, s []byte, maxPixels int) error {
	if p.Components != 0 {
		return refuse("it has two frame headers")
	}
	if len(s) < 6 {
		return refuse(truncated)
	}
	if s[0] != 8 {
		return refuse("it has %d bits a sample; a rule is stated for 8", s[0])
	}
	height, width, n := int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:])), int(s[5])
	if n != 1 && n != 3 && n != 4 {
		return refuse("it is a JPEG with %d components; a rule is stated for 1, 3 and 4", n)
	}
	if width == 0 || height == 0 {
		return refuse("its header gives %d x %d pixels", width, height)
	}
	if width > maxPixels/height {
		return refuse("%d x %d pixels are more than %d", width, height, maxPixels)
	}
	if width > maxSide || height > maxSide {
		return refuse("%d x %d pixels: a side is longer than %d", width, height, maxSide)
	}
	if len(s) != 6+3*n {
		return refuse("its frame header is %d bytes long for %d components", len(s), n)
	}
	p.maxH, p.maxV = 1, 1
	for i := range n {
		c := &p.components[i]
		c.id, c.h, c.v, c.quant = s[6+3*i], s[7+3*i]>>4, s[7+3*i]&15, s[8+3*i]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 {
			return refuse("it has a component sampled %d x %d", c.h, c.v)
		}
		if n == 1 {
			c.h, c.v = 1, 1 // alone it is sampled as the picture is, whatever it says
		}
		p.maxH, p.maxV = max(p.maxH, int(c.h)), max(p.maxV, int(c.v))
	}
	for i := range n {
		c := &p.components[i]
		if p.maxH%int(c.h) != 0 || p.maxV%int(c.v) != 0 {
			return refuse("it has a component sampled %d x %d beside one of %d x %d", c.h, c.v, p.maxH, p.maxV)
		}
		c.width, c.height = ceilDiv(width*int(c.h), p.maxH), ceilDiv(height*int(c.v), p.maxV)
		c.blocksX, c.blocksY = ceilDiv(width*int(c.h), 8*p.maxH), ceilDiv(height*int(c.v), 8*p.maxV)
	}
	p.Width, p.Height, p.Components, p.Progressive = width, height, n, marker == markerSOF2
	if !p.Progressive {
		p.standardTables()
	}
	return nil
}

// standardTables gives a sequential file the tables of Annex K if it lacks its own, as Motion JPEG does.
func (p *parser) standardTables() {
	for class := range 2 {
		for i := range 2 {
			if p.dht[class][i] == nil {
				p.dht[class][i] = &standardHuffman[class][i]
			}
		}
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

func (p *parser) huffmanTables(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 {
			return refuse("it has a Huffman table cut short")
		}
		class, number := s[0]>>4, s[0]&15
		if class > 1 || number > 3 {
			return refuse("it has a Huffman table numbered %d of class %d", number, class)
		}
		h := &huffmanSpec{}
		copy(h.counts[1:], s[1:17])
		total, code := 0, 0
		for length := 1; length <= 16; length++ {
			total += int(h.counts[length])
			code += int(h.counts[length])
			// A code must not consist only of ones.
			if h.counts[length] > 0 && code >= 1<<length {
				return refuse("it has a Huffman table with too many codes")
			}
			code <<= 1
		}
		if total > 256 {
			return refuse("it has a Huffman table with too many codes")
		}
		if len(s) < 17+total {
			return refuse("it has a Huffman table cut short")
		}
		h.values = s[17 : 17+total]
		if class == 0 && slices.ContainsFunc(h.values, func(v byte) bool { return v > 15 }) {
			return refuse("it has a Huffman table with a difference of more than 15 bits")
		}
		p.dht[class][number] = h
		s = s[17+total:]
	}
	return nil
}

func (p *parser) quantizationTables(s []byte) error {
	for len(s) > 0 {
		number, wide := s[0]&15, s[0]>>4 != 0
		size := 64
		if wide {
			size = 128
		}
		if number > 3 {
			return refuse("it has a quantization table numbered %d", number)
		}
		if len(s) < 1+size {
			return refuse("it has a quantization table cut short")
		}
		q := new([64]uint16)
		for k := range q {
			if wide {
				q[k] = binary.BigEndian.Uint16(s[1+2*k:])
			} else {
				q[k] = uint16(s[1+k])
			}
		}
		p.dqt[number] = q
		s = s[1+size:]
	}
	return nil
}

func (p *parser) scanHeader(s []byte) error {
	if p.Components == 0 {
		return refuse("it is a JPEG without a frame header")
	}
	if len(p.scans) == maxScans {
		return refuse("it has more than %d scans", maxScans)
	}
	if len(s) < 1 || s[0] < 1 || s[0] > 4 || len(s) != 4+2*int(s[0]) {
		return refuse("it has a scan header of %d bytes", len(s))
	}
	n := int(s[0])
	sc := scan{
		ss: int(s[1+2*n]), se: int(s[2+2*n]), ah: uint(s[3+2*n] >> 4), al: uint(s[3+2*n] & 15),
		restart: p.restart, dht: p.dht, dqt: p.dqt,
	}
	var taken [4]bool // as libjpeg finds them: a place in the scan hides the component of that number
	blocks := 0
	for i := range n {
		id, tables := s[1+2*i], s[2+2*i]
		found := -1
		for c := range p.Components {
			if p.components[c].id == id && !taken[c] {
				found = c
				break
			}
		}
		if found < 0 || slices.Contains(sc.components, found) {
			return refuse("its scan names component %d, which is missing", id)
		}
		taken[i] = true
		sc.components = append(sc.components, found)
		sc.dc, sc.ac = append(sc.dc, tables>>4), append(sc.ac, tables&15)
		blocks += int(p.components[found].h) * int(p.components[found].v)
	}
	if n > 1 && blocks > maxBlocksInMCU {
		return refuse("it has a scan with %d blocks in a unit; %d are allowed", blocks, maxBlocksInMCU)
	}
	for i, c := range sc.components {
		if q := p.components[c].quant; !p.latched[c] && (q > 3 || p.dqt[q] == nil) {
			return refuse("its quantization table %d is missing", q)
		}
		p.latched[c] = true
		needDC, needAC := true, true
		if p.Progressive {
			needDC, needAC = sc.ss == 0 && sc.ah == 0, sc.ss > 0
		}
		if needDC && (sc.dc[i] > 3 || p.dht[0][sc.dc[i]] == nil) {
			return refuse("its Huffman table %d is missing", sc.dc[i])
		}
		if needAC && (sc.ac[i] > 3 || p.dht[1][sc.ac[i]] == nil) {
			return refuse("its Huffman table %d is missing", sc.ac[i])
		}
		if err := p.progress(c, &sc); err != nil {
			return err
		}
	}
	p.scans = append(p.scans, sc)
	return nil
}

// progress checks a component's scans against the order of T.81 (G.1.1.1): DC coefficients first, and each
// bit of each coefficient once, from the highest down.
func (p *parser) progress(c int, sc *scan) error {
	const disorder = "its scans are not in the order of the standard"
	bits := &p.bits[c]
	if !p.Progressive {
		if bits[0] >= 0 {
			return refuse(disorder)
		}
		*bits = [64]int{}
		return nil
	}
	if sc.ss > sc.se || sc.se > 63 || sc.ss == 0 && sc.se > 0 || sc.ss > 0 && (bits[0] < 0 || len(sc.components) > 1) ||
		sc.al > 13 || sc.ah > 0 && sc.al != sc.ah-1 {
		return refuse(disorder)
	}
	for k := sc.ss; k <= sc.se; k++ {
		if bits[k] < 0 && sc.ah > 0 || bits[k] >= 0 && (sc.ah == 0 || bits[k] != int(sc.ah)) {
			return refuse(disorder)
		}
		bits[k] = int(sc.al)
	}
	return nil
}

// codedData finds the end of a scan's data: the first marker that is not a restart. It refuses data that
// is too short for the scan's blocks, so that a small file cannot claim a large picture. Each block takes
// at least one bit for its DC and, in a sequential scan, one for its AC coefficients.
func (p *parser) codedData(from int) (int, error) {
	end := from
	for {
		i := bytes.IndexByte(p.data[end:], 0xff)
		if i < 0 {
			return 0, refuse(truncated)
		}
		end += i
		next := end + 1
		for next < len(p.data) && p.data[next] == 0xff {
			next++
		}
		if next == len(p.data) {
			return 0, refuse(truncated)
		}
		marker := p.data[next]
		if marker == 0 && next > end+1 {
			return 0, refuse("it has fill bytes inside its coded data")
		}
		if marker == 0x01 {
			return 0, refuse("it has a marker FF01 inside its coded data")
		}
		if marker != 0 && (marker < markerRST0 || marker > markerRST7) {
			break
		}
		end = next + 1
	}
	sc := &p.scans[len(p.scans)-1]
	sc.data = span{from, end}
	blocks := 0
	for _, c := range sc.components {
		blocks += p.components[c].blocksX * p.components[c].blocksY
	}
	bits := 2 * blocks
	switch {
	case p.Progressive && sc.ss > 0:
		bits = 0
	case p.Progressive:
		bits = blocks
	}
	if 8*(end-from) < bits {
		return 0, refuse("it has %d bytes of coded data for %d blocks", end-from, blocks)
	}
	return end, nil
}

// complete returns an error at the end marker unless every bit of every coefficient is present. libjpeg's
// substitutes for missing ones have changed between its versions.
func (p *parser) complete() error {
	if len(p.scans) == 0 {
		return refuse("it is a JPEG without pixels")
	}
	for c := range p.Components {
		for _, low := range p.bits[c] {
			if low != 0 {
				return refuse("it is an incomplete JPEG: scans are missing")
			}
		}
	}
	return nil
}
