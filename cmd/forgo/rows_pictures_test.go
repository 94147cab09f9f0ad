package main

import (
	"encoding/base64"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forgo-ml/forgo/predict/payload"
	"github.com/forgo-ml/forgo/predict/tensor"
)

// A row beside a picture follows spec/rows.md, as one that a server reads does.
func TestRowsWithPicturesAreReadByTheOneReader(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.jpg"), "a picture")
	coded := base64.StdEncoding.EncodeToString([]byte("a picture"))
	beside := asker{takes: payload.Inputs{Picture: true, Specs: []tensor.Spec{{Name: "x", DType: tensor.Float32, Shape: []int64{-1}}}}}
	for row, want := range map[string]float64{
		`{"image": {"file": "a.jpg"}, "x": NaN}`:                      math.NaN(),
		`{"x": -Infinity, "image": {"file": "` + dir + `/a.jpg"}}`:    math.Inf(-1),
		`{"photo": {"file": "a.jpg"}, "x": null}`:                     math.NaN(),
		`{"image": {"b64": "` + coded + `"}, "x": 2.5}`:               2.5,
		`{"image": {"b64": "` + coded + `"}, "x": Infinity}`:          math.Inf(1),
		"\n{\"image\":{\"file\":\"\\u0061.jpg\"},\"\\u0078\":1e-3}\n": float64(float32(1e-3)),
	} {
		c, err := beside.json(dir, []byte(row))
		if err != nil {
			t.Errorf("%s: %v", row, err)
			continue
		}
		values, picture, err := payload.ParseRow(c.raw, beside.takes)
		if err != nil || string(picture) != "a picture" {
			t.Errorf("%s: %q, %v", row, picture, err)
			continue
		}
		if got := float64(values["x"].Data.([]float32)[0]); got != want && (got == got || want == want) {
			t.Errorf("%s: %v, want %v", row, got, want)
		}
	}

	alone := asker{takes: payload.Inputs{Picture: true}}
	for _, row := range []string{
		`{"file": "a.jpg"}`, `{"image": {"file": "a.jpg"}}`, `{"photo": {"file": "a.jpg"}}`,
		`{"b64": "` + coded + `"}`, `{"image": {"b64": "` + coded + `"}}`, `{"photo": {"b64": "` + coded + `"}}`,
	} {
		if c, err := alone.json(dir, []byte(row)); err != nil || string(c.raw) != "a picture" {
			t.Errorf("%s: %q, %v", row, c.raw, err)
		}
	}

	for row, says := range map[string]string{
		`{"image": {"file": "a.jpg"}, "x": 1, "x": 2}`:                     `key "x" occurs twice`,
		`{"image": {"file": "a.jpg"}, "image": {"file": "a.jpg"}, "x": 1}`: `key "image" occurs twice`,
		`{"image": {"file": "a.jpg", "file": "a.jpg"}, "x": 1}`:            `key "file" occurs twice`,
		`{"image": {"file": "a.jpg", "b64": ""}, "x": 1}`:                  "without other keys",
		`{"image": {"file": "a.jpg"}, "x": 1} 2`:                           "data follows the JSON value",
		`{"image": {"file": "a.jpg"}, "x": 01}`:                            "not JSON at byte 34",
		`[1]`:                                                              `want {"image": {"file": "PATH"}}`,
	} {
		if c, err := beside.json(dir, []byte(row)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %q, %v, want %q", row, c.raw, err, says)
		}
	}
	for row, says := range map[string]string{
		`{"image": {"file": "a.jpg"}, "photo": {"file": "a.jpg"}}`:        `key "image" occurs twice`,
		`{"b64": "` + coded + `", "b64": ""}`:                             `key "b64" occurs twice`,
		`{"image": {"b64": "` + coded + `", "kind": 1}}`:                  `send a picture as {"b64": "..."}`,
		`{"image": {"b64": "` + strings.TrimRight(coded, "=")[1:] + `"}}`: "b64: not base64",
		`{"image": {"file": "a.jpg"}, "other": 1}`:                        `the model has no input "other"`,
		`{"image": {"file": "a.jpg"}, "file": "a.jpg"}`:                   "file",
		`{"x": 1}`: `the model has no input "x"`,
		`{}`:       `input "image", the picture, is missing`,
		`[1]`:      `want {"image": {"file": "PATH"}}`,
	} {
		if c, err := alone.json(dir, []byte(row)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %q, %v, want %q", row, c.raw, err, says)
		}
	}
}
