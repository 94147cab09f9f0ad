package pixels

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/internal/racetest"
)

// python is a process that says what Python makes of pictures.
type python struct {
	ask    io.Writer
	answer *bufio.Reader
}

func startPython(tb testing.TB) *python {
	tb.Helper()
	interpreter := filepath.Join(os.Getenv("VIRTUAL_ENV"), "bin", "python")
	if _, err := os.Stat(interpreter); err != nil || os.Getenv("VIRTUAL_ENV") == "" {
		tb.Skip("no Python environment: VIRTUAL_ENV is not set")
	}
	cmd := exec.CommandContext(tb.Context(), interpreter, "../../conformance/answer.py")
	cmd.Stderr = os.Stderr
	ask, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	answer, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ask.Close()
		cmd.Wait()
	})
	return &python{ask, bufio.NewReader(answer)}
}

func (p *python) decode(data []byte) (string, error) {
	if _, err := p.ask.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)); err != nil {
		return "", err
	}
	line, err := p.answer.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// verdict is what Go makes of a picture, in the words of conformance/answer.py.
func verdict(tb testing.TB, data []byte, decode func(context.Context, []byte) (RGB, error)) string {
	img, err := decode(tb.Context(), data)
	switch {
	case errors.Is(err, ErrPicture):
		return "refused " + strings.TrimPrefix(err.Error(), ErrPicture.Error()+": ")
	case err != nil:
		tb.Fatal(err)
	}
	return fmt.Sprintf("%d %d %x", img.Width, img.Height, sha256.Sum256(img.Pix))
}

// jpegDecoders are those of this build, whichever Decode chooses.
var jpegDecoders = func() map[string]func(context.Context, header) (RGB, error) {
	all := map[string]func(context.Context, header) (RGB, error){"Go": decodeInGo}
	if hasTurbo {
		all["libjpeg-turbo"] = func(ctx context.Context, h header) (RGB, error) {
			if img, ok := decodeInTurbo(h); ok {
				return img, nil
			}
			return decodeInGo(ctx, h)
		}
	}
	return all
}()

// decoders are the ways in which this build decodes.
var decoders = func() map[string]func(context.Context, []byte) (RGB, error) {
	all := map[string]func(context.Context, []byte) (RGB, error){}
	for name, decode := range jpegDecoders {
		all[name] = func(ctx context.Context, data []byte) (RGB, error) {
			h, err := readHeader(data)
			if err != nil || h.media != JPEG {
				return Decode(ctx, data, Options{Alpha: AlphaDropped})
			}
			img, err := decode(ctx, h)
			if err != nil {
				return RGB{}, err
			}
			return upright(img, h.orientation), nil
		}
	}
	return all
}()

// resum makes a PNG's checksums right again, so that a change reaches further than them.
func resum(data []byte) {
	if Sniff(data) != PNG {
		return
	}
	for at := 8; at+12 <= len(data); {
		n := int(binary.BigEndian.Uint32(data[at:]))
		if n > len(data)-at-12 {
			return
		}
		binary.BigEndian.PutUint32(data[at+8+n:], crc32.ChecksumIEEE(data[at+4:at+8+n]))
		at += 12 + n
	}
}

// Pictures with one byte changed get the same verdict in Python and in Go, and the same pixels.
// FORGO_MUTATIONS says how many are tried (100,000, 3,000 with -short, 1,000 under the race detector), FORGO_SEED which,
// and FORGO_PICTURES, a pattern, of which files.
func TestMutatedPicturesDecodeAsInPython(t *testing.T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	count := racetest.Some(100_000, 1000)
	if testing.Short() {
		count = min(count, 3000)
	}
	count = number("FORGO_MUTATIONS", count)
	seed := number("FORGO_SEED", 1)
	helper := startPython(t)
	var files []string
	pictures := map[string][]byte{}
	for _, c := range cases(t) {
		if matches, err := path.Match(cmp.Or(os.Getenv("FORGO_PICTURES"), "*"), c.File); err != nil || !matches {
			continue
		}
		if data := picture(t, c.File); len(data) > 0 {
			files, pictures[c.File] = append(files, c.File), data
		}
	}
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	accepted := 0
	for range count {
		name := files[random.IntN(len(files))]
		data := append([]byte(nil), pictures[name]...)
		at, to := random.IntN(len(data)), byte(random.IntN(256))
		data[at] = to
		if random.IntN(2) == 0 {
			resum(data)
		}
		want, err := helper.decode(data)
		if err != nil {
			t.Fatalf("%s, byte %d set to %d: Python ends: %v", name, at, to, err)
		}
		if !strings.HasPrefix(want, "refused") {
			accepted++
		}
		for decoder, decode := range decoders {
			got := verdict(t, data, decode)
			if strings.HasPrefix(want, "refused it cannot be decoded") && strings.HasPrefix(got, "refused") {
				continue
			}
			if got != want {
				t.Errorf("%s, byte %d set to %d: %s says %q, Python %q", name, at, to, decoder, got, want)
			}
		}
	}
	t.Logf("%d of %d mutated pictures were accepted", accepted, count)
}
