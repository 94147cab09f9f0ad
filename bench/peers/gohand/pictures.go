// JPEG uploads, decoded by image/jpeg and resized by x/image/draw, as Go programs do it: the values differ from Pillow's.
package main

import (
	"cmp"
	"encoding/json"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"slices"
	"strconv"

	"golang.org/x/image/draw"
)

type class struct {
	Label string  `json:"label"`
	Score float32 `json:"score"`
}

// classify answers a JPEG with the five best classes. FILTER is BILINEAR or BICUBIC; SHORTER, if it is set, the side that
// the shorter one is brought to before the middle is cut out.
func (free sessions) classify(bundle string) http.HandlerFunc {
	var manifest struct {
		Labels []string `json:"labels"`
	}
	data, err := os.ReadFile(bundle + "/forgo.json")
	must(err)
	must(json.Unmarshal(data, &manifest))
	filter := map[string]draw.Scaler{"BILINEAR": draw.BiLinear, "BICUBIC": draw.CatmullRom}[os.Getenv("FILTER")]
	shorter, _ := strconv.Atoi(os.Getenv("SHORTER"))
	return func(w http.ResponseWriter, r *http.Request) {
		picture, err := jpeg.Decode(http.MaxBytesReader(w, r.Body, 10<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		scores, err := free.answer(func(s *session) error {
			fill(s, picture, filter, shorter)
			return nil
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		classes := make([]class, len(scores))
		for i, score := range scores {
			classes[i] = class{manifest.Labels[i], score}
		}
		slices.SortFunc(classes, func(a, b class) int { return cmp.Compare(b.Score, a.Score) })
		reply(w, map[string]any{"classes": classes[:min(5, len(classes))]})
	}
}

// fill brings a picture to a session's input, channels first or last.
func fill(s *session, picture image.Image, filter draw.Scaler, shorter int) {
	first := s.shape[1] == 3
	height, width := int(s.shape[1]), int(s.shape[2])
	if first {
		height, width = int(s.shape[2]), int(s.shape[3])
	}
	w, h := width, height
	if shorter > 0 {
		size := picture.Bounds().Size()
		short := min(size.X, size.Y)
		w, h = shorter*size.X/short, shorter*size.Y/short
	}
	scaled := image.NewRGBA(image.Rect(0, 0, w, h))
	filter.Scale(scaled, scaled.Rect, picture, picture.Bounds(), draw.Src, nil)
	left, top := (w-width+1)/2, (h-height+1)/2 // rounded as torchvision rounds
	values := s.input.GetData()
	for y := range height {
		for x := range width {
			at := scaled.PixOffset(left+x, top+y)
			for c := range 3 {
				to := (y*width+x)*3 + c
				if first {
					to = (c*height+y)*width + x
				}
				values[to] = float32(scaled.Pix[at+c])
			}
		}
	}
}
