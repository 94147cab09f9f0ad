//go:build unix

// Prepare decodes a picture and brings it to a size as often as it is told, for bench/pictures.py: a line with a number
// in gives a line with nanoseconds of processor time and the SHA-256 of the values out.
//
//	prepare FILE WAY HEIGHT WIDTH
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/forgo-ml/forgo/predict/pixels"
	"github.com/forgo-ml/forgo/predict/preprocess"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("give FILE WAY HEIGHT WIDTH, not %q", args)
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var size [2]int
	for i, s := range args[2:] {
		if size[i], err = strconv.Atoi(s); err != nil {
			return err
		}
	}
	kernel, err := preprocess.New(preprocess.Rules{Height: size[0], Width: size[1], Channels: 3, Resize: args[1], Fit: "stretch"})
	if err != nil {
		return err
	}
	headroom := make([]byte, 16<<20) // as in forgo serve, so that the collector runs as rarely
	defer runtime.KeepAlive(headroom)
	fmt.Println(pixels.Decoder())
	ctx := context.Background()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		count, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		var values []float32
		start := processor()
		for range count {
			img, err := pixels.Decode(ctx, data, pixels.Options{})
			if err != nil {
				return err
			}
			if values, err = kernel.Run(ctx, img.Pix, img.Width, img.Height); err != nil {
				return err
			}
			img.Recycle()
		}
		took := processor() - start
		sum := sha256.New()
		if err := binary.Write(sum, binary.LittleEndian, values); err != nil {
			return err
		}
		fmt.Printf("%d %x\n", took, sum.Sum(nil))
	}
	return nil
}

// processor is the time that this process has had of all processors, in nanoseconds.
func processor() int64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // fails for no such argument
	return usage.Utime.Nano() + usage.Stime.Nano()
}
