package pixels

import (
	"context"
	"encoding/binary"
)

// gifFile is a GIF up to its first frame. src/forgo/_gif.py reads it by the same rules.
type gifFile struct {
	width, height int // of the screen, or what the frame reaches beyond it
	frame         struct{ x, y, width, height int }
	interlaced    bool
	palette       [256][3]byte
	transparent   int // an index, -1 for none
	codeSize      int
	blocks        [][]byte
}

const (
	truncatedGIF = "it is a truncated GIF"
)

func parseGIF(data []byte) (*gifFile, error) {
	if len(data) < 13 {
		return nil, refuse(truncatedGIF)
	}
	f, at := &gifFile{transparent: -1}, 13
	f.width, f.height = int(binary.LittleEndian.Uint16(data[6:])), int(binary.LittleEndian.Uint16(data[8:]))
	for i := range f.palette { // without a palette an index is a grey
		f.palette[i] = [3]byte{byte(i), byte(i), byte(i)}
	}
	if !f.colours(data, &at, data[10]) {
		return nil, refuse(truncatedGIF)
	}
	for {
		if at >= len(data) {
			return nil, refuse(truncatedGIF)
		}
		kind := data[at]
		at++
		switch kind {
		case '!':
			if at >= len(data) {
				return nil, refuse(truncatedGIF)
			}
			label := data[at]
			at++
			blocks, ok := gifBlocks(data, &at)
			if !ok {
				return nil, refuse(truncatedGIF)
			}
			if label == 0xf9 && len(blocks) > 0 && blocks[0][0]&1 != 0 {
				if len(blocks[0]) < 4 {
					return nil, refuse("its graphic control is damaged")
				}
				f.transparent = int(blocks[0][3])
			}
		case ',':
			if at+9 > len(data) {
				return nil, refuse(truncatedGIF)
			}
			d := data[at:]
			at += 9
			f.frame.x, f.frame.y = int(binary.LittleEndian.Uint16(d)), int(binary.LittleEndian.Uint16(d[2:]))
			f.frame.width, f.frame.height = int(binary.LittleEndian.Uint16(d[4:])), int(binary.LittleEndian.Uint16(d[6:]))
			f.interlaced = d[8]&0x40 != 0
			f.width, f.height = max(f.width, f.frame.x+f.frame.width), max(f.height, f.frame.y+f.frame.height)
			if f.frame.width == 0 || f.frame.height == 0 {
				return nil, refuse("its first frame has %d x %d pixels", f.frame.width, f.frame.height)
			}
			if f.width > MaxPixels/f.height {
				return nil, refuse("%d x %d pixels are more than %d", f.width, f.height, MaxPixels)
			}
			if !f.colours(data, &at, d[8]) || at >= len(data) {
				return nil, refuse(truncatedGIF)
			}
			f.codeSize = int(data[at])
			at++
			if f.codeSize < 1 || f.codeSize > 8 {
				return nil, refuse("its codes begin with %d bits", f.codeSize)
			}
			var ok bool
			if f.blocks, ok = gifBlocks(data, &at); !ok {
				return nil, refuse(truncatedGIF)
			}
			return f, nil
		case ';':
			return nil, refuse("it is a GIF without a picture")
		default:
			return nil, refuse("it has a block %02x, for which no rule is stated", kind)
		}
	}
}

// colours reads a palette if flags announce one. An index beyond it is black.
func (f *gifFile) colours(data []byte, at *int, flags byte) bool {
	if flags&0x80 == 0 {
		return true
	}
	n := 2 << (flags & 7)
	if *at+3*n > len(data) {
		return false
	}
	f.palette = [256][3]byte{}
	for i := range n {
		copy(f.palette[i][:], data[*at+3*i:])
	}
	*at += 3 * n
	return true
}

func gifBlocks(data []byte, at *int) (blocks [][]byte, ok bool) {
	for *at < len(data) {
		n := int(data[*at])
		*at++
		if n == 0 {
			return blocks, true
		}
		if *at+n > len(data) {
			return nil, false
		}
		blocks = append(blocks, data[*at:*at+n])
		*at += n
	}
	return nil, false
}

func (f *gifFile) decode(ctx context.Context, alpha Alpha) (RGB, error) {
	out := RGB{Width: f.width, Height: f.height, Pix: make([]byte, 3*f.width*f.height)}
	var colours [256][3]byte
	for i, c := range f.palette {
		colours[i] = c
		if i == f.transparent {
			colours[i] = [3]byte{alpha.over(c[0], 0), alpha.over(c[1], 0), alpha.over(c[2], 0)}
		}
	}
	opaque := true
	put := func(at int, index byte) {
		*(*[3]byte)(out.Pix[3*at:]) = colours[index]
		opaque = opaque && int(index) != f.transparent
	}
	// The rest of the screen is transparent, or 0.
	if f.frame.width < f.width || f.frame.height < f.height {
		for at := range f.width * f.height {
			put(at, byte(max(0, f.transparent)))
		}
		opaque = f.transparent < 0
	}
	x, y, step, interlace := 0, 0, 1, 0
	if f.interlaced {
		step, interlace = 8, 1
	}
	for indices := range f.strings {
		for _, index := range indices {
			put((f.frame.y+y)*f.width+f.frame.x+x, index)
			if x++; x < f.frame.width {
				continue
			}
			if err := ctx.Err(); err != nil {
				return RGB{}, err
			}
			x, y = 0, y+step
			for y >= f.frame.height {
				switch interlace {
				case 1:
					y, interlace = 4, 2
				case 2:
					y, step, interlace = 2, 4, 3
				case 3:
					y, step, interlace = 1, 2, 0
				default:
					if !opaque && alpha == AlphaRefused {
						return RGB{}, refuse(transparent)
					}
					return out, nil // what follows the last pixel is ignored
				}
			}
		}
	}
	return RGB{}, refuse(damagedPixels)
}

// strings yields the strings of indices that the codes stand for, up to the end code or to damaged data.
func (f *gifFile) strings(yield func([]byte) bool) {
	const most = 4096
	var (
		suffix [most]byte
		prefix [most]uint16
		buffer [most + 1]byte
	)
	clear, next := 1<<f.codeSize, 0
	size, previous, first := f.codeSize+1, -1, byte(0)
	next = clear + 2
	acc, have := uint32(0), 0
	for _, block := range f.blocks {
		for _, b := range block {
			acc |= uint32(b) << have
			have += 8
			for have >= size {
				code := int(acc & (1<<size - 1))
				acc >>= size
				have -= size
				switch {
				case code == clear:
					next, size, previous = clear+2, f.codeSize+1, -1
					continue
				case code == clear+1:
					return
				case previous < 0:
					if code > clear {
						return
					}
					first, previous = byte(code), code
					if !yield([]byte{first}) {
						return
					}
					continue
				case code > next:
					return
				}
				at, c := len(buffer), code
				if c == next {
					at--
					buffer[at] = first
					c = previous
				}
				for c >= clear {
					if at == 1 || c >= most {
						return
					}
					at--
					buffer[at] = suffix[c]
					c = int(prefix[c])
				}
				first = byte(c)
				at--
				buffer[at] = first
				if next < most {
					suffix[next], prefix[next] = first, uint16(previous)
					if next == 1<<size-1 && size < 12 {
						size++
					}
					next++
				}
				previous = code
				if !yield(buffer[at:]) {
					return
				}
			}
		}
	}
}
