package webp

import "context"

// tableMemory is the memory that is reserved for a lossless picture's codes. libwebp's encoder stays below
// it. For a file with more codes, the decoder asks for more.
func tableMemory(file int) int { return 1<<20 + min(16*file, 28<<20) }

// losslessMemory returns the most memory of decoding, without the result or codes beyond tableMemory.
func losslessMemory(pixels int64, file int) int64 {
	// The picture, twice if indices are spread, and for a sixteenth of it the choice of codes and two
	// transforms.
	return 2*4*pixels + 3*4*(pixels/16+16384) + int64(tableMemory(file)) + 64<<10
}

// Symbols of the first code: literals, then lengths of copies, then indexes into the cache.
const (
	literals = 256
	lengths  = 24
)

// lossless decodes VP8L (RFC 9649). Pixels are alpha, red, green and blue from the highest byte down.
type lossless struct {
	ctx        context.Context
	r          bitReader
	transforms []transformer
	seen       [4]bool
	lengths    [literals + lengths + 1<<11]uint8
	scratch    scratch
	tables     []entry // for codes that are kept
	left       int     // bytes that are reserved for tables and not taken
	more       func(bytes int64) error
	// green says that only the green channel counts, and is encoded with a single code. libwebp then
	// forgives a file that ends within its last symbol.
	green bool
}

// group holds the codes of one part of a picture: green and the rest, red, blue, alpha, and distances.
type group [5]code

const groupMemory = 5 * 32

// take counts memory before it is allocated, and asks for more than what is reserved.
func (d *lossless) take(bytes int) error {
	if d.left -= bytes; d.left >= 0 {
		return nil
	}
	ask := max(-d.left, 1<<20)
	d.left += ask
	if d.more == nil {
		return nil
	}
	return d.more(int64(ask))
}

// keep copies a code out of the scratch.
func (d *lossless) keep(c code) (code, error) {
	n := len(c.table)
	if n > len(d.tables) {
		fresh := max(n, 1<<13)
		if err := d.take(4 * fresh); err != nil {
			return code{}, err
		}
		d.tables = make([]entry, fresh)
	}
	table := d.tables[:n:n]
	d.tables = d.tables[n:]
	copy(table, c.table)
	return code{table, c.mask}, nil
}

func (f *File) decodeLossless(ctx context.Context, more func(int64) error) (Frame, error) {
	d := &lossless{ctx: ctx, r: bitReader{data: f.data[5:]}, left: tableMemory(len(f.data)), more: more}
	argb, err := d.picture(f.FrameWidth, f.FrameHeight, false)
	if err != nil {
		return Frame{}, err
	}
	out := Frame{Pix: make([]byte, 3*len(argb))}
	if f.Transparent() {
		out.Alpha = make([]byte, len(argb))
	}
	for i, v := range argb {
		p := (*[3]byte)(out.Pix[3*i:])
		p[0], p[1], p[2] = byte(v>>16), byte(v>>8), byte(v)
		if out.Alpha != nil {
			out.Alpha[i] = byte(v >> 24)
		}
	}
	return out, nil
}

// picture decodes the whole picture and inverts its transforms. If alone is set, only the green channel
// counts.
func (d *lossless) picture(width, height int, alone bool) ([]uint32, error) {
	coded := width
	for d.r.read(1) == 1 {
		t := transformer{kind: d.r.read(2), width: coded, height: height}
		if d.seen[t.kind] || d.r.ended {
			return nil, refuse(damaged)
		}
		d.seen[t.kind] = true
		var err error
		switch t.kind {
		case predictor, crossColour:
			t.bits = 2 + d.r.read(3)
			t.data, err = d.image(parts(coded, t.bits), parts(height, t.bits), false)
		case colourIndexing:
			n := 1 + d.r.read(8)
			switch {
			case n <= 2:
				t.bits = 3
			case n <= 4:
				t.bits = 2
			case n <= 16:
				t.bits = 1
			}
			coded = parts(coded, t.bits)
			if t.data, err = d.image(n, 1, false); err == nil {
				t.data = palette(t.data)
			}
		}
		if err != nil {
			return nil, err
		}
		d.transforms = append(d.transforms, t)
	}
	d.green = alone && len(d.transforms) == 1 && d.seen[colourIndexing]
	argb, err := d.image(coded, height, true)
	for i := len(d.transforms) - 1; i >= 0 && err == nil; i-- {
		argb, err = d.transforms[i].invert(d.ctx, argb)
	}
	return argb, err
}

// parts returns the number of parts of 2^bits in n.
func parts(n, bits int) int { return (n + 1<<bits - 1) >> bits }

// image decodes pixels: those of the whole picture, or of auxiliary data.
func (d *lossless) image(width, height int, whole bool) ([]uint32, error) {
	r := &d.r
	cacheBits := 0
	if r.read(1) == 1 {
		if cacheBits = r.read(4); cacheBits < 1 || cacheBits > 11 {
			return nil, refuse(damaged)
		}
	}
	var choice []uint32
	var groups []group
	choiceBits, columns := 0, 0
	if !whole { // its code is forgotten after it
		defer func(before []entry) { d.tables = before }(d.tables)
	}
	if whole && r.read(1) == 1 {
		choiceBits = 2 + r.read(3)
		columns = parts(width, choiceBits)
		var err error
		if choice, err = d.image(columns, parts(height, choiceBits), false); err != nil {
			return nil, err
		}
		most := uint32(0)
		for i, v := range choice {
			choice[i] = v >> 8 & 0xffff
			most = max(most, choice[i])
		}
		// Read the codes that no part uses, but do not keep them.
		if err := d.take(4 * int(most+1)); err != nil {
			return nil, err
		}
		place := make([]int32, most+1)
		for _, v := range choice {
			place[v] = 1
		}
		used := int32(0)
		for i := range place {
			if place[i]--; place[i] == 0 {
				place[i] = used
				used++
			}
		}
		if err := d.take(int(used) * groupMemory); err != nil {
			return nil, err
		}
		groups = make([]group, used)
		for i, v := range choice {
			choice[i] = uint32(place[v])
		}
		for _, p := range place {
			g, err := d.group(cacheBits, p >= 0)
			if err != nil {
				return nil, err
			}
			if p >= 0 {
				groups[p] = g
			}
		}
	} else {
		g, err := d.group(cacheBits, true)
		if err != nil {
			return nil, err
		}
		groups = []group{g}
	}
	return d.pixels(width, height, cacheBits, groups, choice, choiceBits, columns)
}

// group reads five codes. If keep is false, it only checks them.
func (d *lossless) group(cacheBits int, keep bool) (group, error) {
	var g group
	if err := d.ctx.Err(); err != nil {
		return g, err
	}
	for i, n := range [5]int{literals + lengths, 256, 256, 256, 40} {
		if i == 0 && cacheBits > 0 {
			n += 1 << cacheBits
		}
		l := d.lengths[:n]
		if !d.readLengths(l) || d.r.ended {
			return g, refuse(damaged)
		}
		c, ok := d.scratch.newCode(l)
		if !ok {
			return g, refuse(damaged)
		}
		if keep {
			var err error
			if g[i], err = d.keep(c); err != nil {
				return g, err
			}
		}
	}
	return g, nil
}

var lengthOrder = [19]uint8{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// readLengths reads the lengths of a code's symbols.
func (d *lossless) readLengths(out []uint8) bool {
	r := &d.r
	clear(out)
	if r.read(1) == 1 { // one or two symbols
		two, wide := r.read(1), r.read(1)
		symbols := []int{r.read(1 + 7*wide)}
		if two == 1 {
			symbols = append(symbols, r.read(8))
		}
		for _, s := range symbols {
			if s < len(out) {
				out[s] = 1
			}
		}
		return true
	}
	var first [19]uint8
	n := 4 + r.read(4)
	for _, s := range lengthOrder[:n] {
		first[s] = uint8(r.read(3))
	}
	c, ok := d.scratch.newCode(first[:])
	if !ok {
		return false
	}
	most := len(out)
	if r.read(1) == 1 {
		bits := 2 + 2*r.read(3)
		if most = 2 + r.read(bits); most > len(out) {
			return false
		}
	}
	previous := uint8(8)
	for at := 0; at < len(out) && most > 0; most-- {
		r.fill()
		s := r.symbol(c)
		if s < 16 {
			out[at] = uint8(s)
			at++
			if s != 0 {
				previous = uint8(s)
			}
			continue
		}
		repeat, value := 0, uint8(0)
		switch s {
		case 16:
			repeat, value = 3+r.read(2), previous
		case 17:
			repeat = 3 + r.read(3)
		default:
			repeat = 11 + r.read(7)
		}
		if at+repeat > len(out) {
			return false
		}
		for range repeat {
			out[at] = value
			at++
		}
	}
	return true
}

// near holds the places of the pixels closest by, for short codes of distances: how many rows above, and
// 8 less how many columns to the left, in four bits each.
var near = [120]uint8{
	0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39,
	0x15, 0x1b, 0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a,
	0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d,
	0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e,
	0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79, 0x53, 0x5d, 0x11, 0x1f,
	0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e,
	0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72,
	0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
}

// extent reads the rest of a length or distance after its symbol.
func (r *bitReader) extent(symbol int) int {
	if symbol < 4 {
		return symbol + 1
	}
	extra := (symbol - 2) >> 1
	return (2+symbol&1)<<extra + r.read(extra) + 1
}

// pixels decodes literals, copies and cached pixels.
func (d *lossless) pixels(width, height, cacheBits int, groups []group, choice []uint32, choiceBits, columns int) ([]uint32, error) {
	r := &d.r
	out := make([]uint32, width*height)
	var cache []uint32
	if cacheBits > 0 {
		cache = make([]uint32, 1<<cacheBits)
	}
	cached := 0
	catchUp := func(at int) {
		for ; cached < at; cached++ {
			cache[out[cached]*0x1e35a7bd>>(32-cacheBits)] = out[cached]
		}
	}
	forgiving := d.green && cacheBits == 0
	for _, g := range groups {
		forgiving = forgiving && len(g[1].table)+len(g[2].table)+len(g[3].table) == 3
	}
	mask := 1<<choiceBits - 1
	g := &groups[0]
	x, y := 0, 0
	for at, check := 0, 0; at < len(out); {
		if at >= check {
			if err := d.ctx.Err(); err != nil {
				return nil, err
			}
			check = at + 1<<15
		}
		if choice != nil && x&mask == 0 {
			g = &groups[choice[y>>choiceBits*columns+x>>choiceBits]]
		}
		r.fill()
		s := r.symbol(g[0])
		n := 1
		switch {
		case s < literals:
			red := r.symbol(g[1])
			r.fill()
			blue := r.symbol(g[2])
			alpha := r.symbol(g[3])
			out[at] = uint32(alpha)<<24 | uint32(red)<<16 | uint32(s)<<8 | uint32(blue)
		case s < literals+lengths:
			n = r.extent(s - literals)
			r.fill()
			distance := r.symbol(g[4])
			if distance = r.extent(distance); distance > len(near) {
				distance -= len(near)
			} else {
				place := int(near[distance-1])
				distance = max(1, place>>4*width+8-place&15)
			}
			if distance > at || n > len(out)-at {
				return nil, refuse(damaged)
			}
			for i := at; i < at+n; i++ {
				out[i] = out[i-distance]
			}
		default:
			catchUp(at)
			out[at] = cache[s-literals-lengths]
		}
		at += n
		if r.ended && !(forgiving && at == len(out)) {
			return nil, refuse(damaged)
		}
		for x += n; x >= width; x -= width {
			y++
			if cacheBits > 0 {
				catchUp(at)
			}
		}
		if n > 1 && choice != nil && x&mask != 0 && y < height {
			g = &groups[choice[y>>choiceBits*columns+x>>choiceBits]]
		}
	}
	return out, nil
}
