package pixels

import (
	"bytes"
	"strings"
)

// unknown returns the error for a file of an unsupported format, with the format's name if it has one.
func unknown(data []byte) error {
	if len(data) == 0 {
		return refuse("it is empty")
	}
	if name := otherFormat(data); name != "" {
		return refuse("it is %s, which is not decoded: convert it to PNG or JPEG", name)
	}
	return refuse("not a %s", names())
}

// names lists the supported formats.
func names() string {
	var all []string
	for _, f := range Formats {
		all = append(all, f.Name)
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// otherFormat names a format without rules. src/forgo/_picture.py knows the same ones.
func otherFormat(data []byte) string {
	for _, f := range []struct{ start, name string }{
		{"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"},
		{"\xff\x4f\xff\x51", "JPEG 2000"},
		{"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"},
		{"\xff\x0a", "JPEG XL"},
		{"II\x2b\x00", "BigTIFF"},
		{"MM\x00\x2b", "BigTIFF"},
		{"8BPS", "a Photoshop document"},
		{"%PDF-", "a PDF document"},
		{"\x00\x00\x01\x00", "an icon"},
		{"<svg", "SVG"},
		{"<?xml", "XML"},
	} {
		if bytes.HasPrefix(data, []byte(f.start)) {
			return f.name
		}
	}
	if len(data) < 12 || string(data[4:8]) != "ftyp" {
		return ""
	}
	brands := data[8:min(len(data), 64)]
	switch {
	case bytes.Contains(brands, []byte("avif")), bytes.Contains(brands, []byte("avis")):
		return "AVIF"
	case bytes.HasPrefix(brands, []byte("he")), bytes.HasPrefix(brands, []byte("mif1")), bytes.HasPrefix(brands, []byte("msf1")):
		return "HEIC"
	}
	return "a video"
}
