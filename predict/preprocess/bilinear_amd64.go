package preprocess

import (
	"context"
	"encoding/binary"
)

//go:noescape
func mix8(to *float32, corners *byte, apart int, shares *float32, down float32, n int)

// vectorBilinear is bilinear with vectors, for rows of eight samples or more. The four pixels that one lies between are
// put into lines of their own first.
func vectorBilinear(ctx context.Context, p picture, o output, across, down []between, width int) error {
	s := newScratch(4 * (width + 8))
	defer s.end()
	apart := width + 8
	corners, shares := s.take(4*apart), make([]float32, width)
	for i := range shares {
		shares[i] = across[i/p.channels].share
	}
	for i := range down {
		if err := ended(ctx, i); err != nil {
			return err
		}
		d := &down[i]
		upper, lower, made := p.pix[d.lower*p.stride:], p.pix[d.upper*p.stride:], o.row(i)[:width]
		spread(corners, corners[apart:], upper, across, p.channels)
		spread(corners[2*apart:], corners[3*apart:], lower, across, p.channels)
		mix8(&made[0], &corners[0], apart, &shares[0], d.share, width&^7)
		if rest := width - 8; width%8 > 0 {
			mix8(&made[rest], &corners[rest], apart, &shares[rest], d.share, 8)
		}
	}
	return nil
}

// spread puts the pixels on the left and on the right into lines, which are a few bytes longer than what they hold.
func spread(left, right, row []byte, across []between, channels int) {
	if channels == 1 {
		for j := range across {
			left[j], right[j] = row[across[j].lower], row[across[j].upper]
		}
		return
	}
	for j := range across {
		l, r := row[3*across[j].lower:], row[3*across[j].upper:]
		if len(r) < 4 || len(l) < 4 { // the picture's last pixel
			copy(left[3*j:], l[:3])
			copy(right[3*j:], r[:3])
			continue
		}
		binary.LittleEndian.PutUint32(left[3*j:], binary.LittleEndian.Uint32(l))
		binary.LittleEndian.PutUint32(right[3*j:], binary.LittleEndian.Uint32(r))
	}
}
