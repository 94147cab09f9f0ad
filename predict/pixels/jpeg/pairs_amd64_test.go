package jpeg

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
)

// anyTable gives codes of any lengths and any symbols; of some codes there may be none.
func anyTable(random *rand.Rand) *huffmanSpec {
	s := &huffmanSpec{}
	free := 1 // codes of a length that no shorter one begins
	for length := 1; length <= 16; length++ {
		free *= 2
		n := min(random.IntN(free), 256-len(s.values))
		if random.IntN(3) == 0 {
			n = 0
		}
		s.counts[length] = byte(n)
		free -= n
		for range n {
			symbol := byte(random.Uint32())
			switch random.IntN(4) {
			case 0:
				symbol &= 0x33 // short runs of small values
			case 1:
				symbol = []byte{0x00, 0xf0, 0x01, 0x02}[random.IntN(4)]
			}
			s.values = append(s.values, symbol)
		}
	}
	return s
}

// symbol reads a code bit by bit. One that is in no table counts as 0 and takes 17 bits.
func symbol(r *bitReader, h *huffman) int {
	number, first, at := 0, 0, 0
	for length := 1; length <= 16; length++ {
		number = 2*number + int(r.bits(1))
		n := int(h.counts[length])
		if number-first < n {
			return int(h.values[at+number-first])
		}
		first, at = 2*(first+n), at+n
	}
	r.bits(1)
	return 0
}

// signed reads a value of so many bits.
func signed(r *bitReader, size int) int32 {
	v := int32(0)
	for range size {
		v = 2*v + int32(r.bits(1))
	}
	if size > 0 && v < 1<<(size-1) {
		v -= 1<<size - 1
	}
	return v
}

// one reads a block as the standard describes it, code by code.
func one(r *bitReader, c *[64]int16, dc, ac *huffman, previous *int32) {
	*previous += signed(r, symbol(r, dc))
	c[0] = int16(*previous)
	for k := 1; k < 64; k++ {
		symbol := symbol(r, ac)
		size := symbol & 15
		if size == 0 {
			if symbol != 0xf0 {
				return
			}
			k += 15
			continue
		}
		k += symbol >> 4
		c[natural[k]] = int16(signed(r, size))
	}
}

// Blocks of any bits with any tables are read as the standard says, one coefficient after another, with vectors and
// without, up to the segment's end and beyond.
func TestBlocksAreReadCodeByCode(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	specs := []*huffmanSpec{&standardHuffman[1][0], &standardHuffman[1][1]}
	for range 300 {
		specs = append(specs, anyTable(random))
	}
	blocks, fast := 0, 0
	for number, spec := range specs {
		var dc, ac huffman
		var both pairs
		differences := &standardHuffman[0][number%2]
		if number%3 == 2 {
			differences = anyTable(random)
			for i := range differences.values {
				differences.values[i] &= 15
			}
		}
		dc.build(differences)
		ac.build(spec)
		both.build(&ac.fast)
		segment := noise(random, 300+random.IntN(1500))
		length := len(segment)
		segment = append(segment, make([]byte, pad)...)
		readers := [3]bitReader{}
		for i := range readers {
			readers[i] = bitReader{segment: segment, length: length}
		}
		var previous [3]int32
		for block := 0; !readers[0].spent(); block++ {
			var want [64]int16
			one(&readers[0], &want, &dc, &ac, &previous[0])
			got := [2]unitCoefs{{63: 5}, {63: 5}} // what is left of the block before
			for i, vectors := range []bool{true, false} {
				slots, r := []slot{{plane: &plane{previous: previous[i+1]}, with: &coder{&dc, &ac, &both}}}, &readers[i+1]
				read := 0
				if hasVectors && vectors {
					raw := [2]unitCoefs{got[i]}
					_, read = fastUnits(r, &raw, slots, 0, 0, 0)
					got[i] = raw[0]
				}
				if read == 0 {
					slots[0].last = r.sequential((*coefs)(got[i][:]), slots[0].with, &slots[0].previous)
				} else {
					fast++
				}
				previous[i+1] = slots[0].previous
				for k := slots[0].last + 1; k < 64; k++ {
					if got[i][natural[k]] != 0 {
						t.Fatalf("table %d, block %d: a coefficient at %d behind the last at %d", number, block, k, slots[0].last)
					}
				}
			}
			blocks++
			for i := range got {
				if *got[i].block(0) != want {
					t.Fatalf("table %d (%v), block %d, reader %d: %v, want %v", number, spec, block, i, got[i][:64], want)
				}
				r, one := &readers[i+1], &readers[0]
				if 8*r.at-r.n != 8*one.at-one.n {
					t.Fatalf("table %d, block %d, reader %d: %d bits are taken, want %d", number, block, i, 8*r.at-r.n, 8*one.at-one.n)
				}
			}
		}
	}
	if hasVectors && (fast < blocks/2 || fast == blocks) {
		t.Errorf("%d blocks of %d are read with vectors", fast, blocks)
	}
}

// A decoder makes its table again if the Huffman table differs, and keeps it if the two are equal.
func TestTablesAreMadeAgain(t *testing.T) {
	var h, other huffman
	luma, chroma := &standardHuffman[1][0], &standardHuffman[1][1]
	for _, c := range []struct {
		spec *huffmanSpec
		made bool
	}{
		{luma, true},
		{luma, false},
		{&huffmanSpec{luma.counts, append([]byte(nil), luma.values...)}, false},
		{chroma, true},
		{luma, true},
		{&huffmanSpec{luma.counts, append([]byte{7}, luma.values[1:]...)}, true},
		{&huffmanSpec{}, true},
		{luma, true},
	} {
		if made := h.build(c.spec); made != c.made {
			t.Errorf("of %v: made %v, want %v", c.spec, made, c.made)
		}
		other = huffman{}
		other.build(c.spec)
		if h != other {
			t.Errorf("of %v: not as a new one", c.spec)
		}
	}
}

// Pictures of any samplings, tables, quantizers and restart intervals, with data that ends anywhere, have the same
// pixels with vectors and without.
func TestUnitsDecodeAlike(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(9, 9))
	samplings := [][]byte{{0x11}, {0x11, 0x11, 0x11}, {0x21, 0x11, 0x11}, {0x22, 0x11, 0x11}, {0x12, 0x11, 0x11}, {0x22, 0x21, 0x11}, {0x11, 0x11, 0x11, 0x11}}
	for try := range racetest.Some(1000, 100) {
		f := &File{Width: 1 + random.IntN(150), Height: 1 + random.IntN(60)}
		sampling := samplings[try%len(samplings)]
		f.Components = len(sampling)
		s := scan{restart: max(0, random.IntN(30)-10), se: 63}
		for i, hv := range sampling {
			f.components[i] = component{id: byte(i), h: hv >> 4, v: hv & 15, quant: byte(i)}
			f.maxH, f.maxV = max(f.maxH, int(hv>>4)), max(f.maxV, int(hv&15))
			s.components, s.dc, s.ac = append(s.components, i), append(s.dc, byte(i)), append(s.ac, byte(i))
			s.dht[0][i], s.dht[1][i] = &standardHuffman[0][i&1], &standardHuffman[1][i&1]
			if random.IntN(3) == 0 {
				s.dht[1][i] = anyTable(random)
			}
			s.dqt[i] = new([64]uint16)
			for k := range s.dqt[i] {
				s.dqt[i][k] = uint16(1 + random.IntN([]int{3, 40, 1 << 15}[try%3]))
			}
		}
		for i := range sampling {
			c := &f.components[i]
			c.width, c.height = ceilDiv(f.Width*int(c.h), f.maxH), ceilDiv(f.Height*int(c.v), f.maxV)
			c.blocksX, c.blocksY = ceilDiv(c.width, 8), ceilDiv(c.height, 8)
		}
		for i, b := range noise(random, random.IntN(20000)) {
			switch {
			case b == 0xff:
				f.data = append(f.data, 0xff, 0)
			case try%2 == 0 && random.IntN(2) == 0:
				f.data = append(f.data, 0x28) // differences of 0 and ends of blocks
			default:
				f.data = append(f.data, b)
			}
			if s.restart > 0 && random.IntN(40) == 0 {
				f.data = append(f.data, 0xff, markerRST0+byte(i&7))
			}
		}
		s.data = span{0, len(f.data)}
		f.scans = []scan{s}
		got, err := f.Decode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		plainly(func() {
			if want, err := f.Decode(t.Context()); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("picture %d of %d x %d, samplings %x: other pixels with vectors (%v)", try, f.Width, f.Height, sampling, err)
			}
		})
	}
}
