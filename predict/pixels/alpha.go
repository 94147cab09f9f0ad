package pixels

// Alpha says how to treat transparent pixels.
type Alpha string

const (
	// AlphaRefused refuses pictures with a pixel that isn't opaque.
	AlphaRefused Alpha = ""
	// AlphaDropped keeps each pixel's colour and ignores its alpha, like Pillow's convert("RGB"), which
	// Keras and torchvision use.
	AlphaDropped Alpha = "drop"
	// AlphaWhite and AlphaBlack blend the picture with a white or black background.
	AlphaWhite Alpha = "white"
	AlphaBlack Alpha = "black"
)

const transparent = "it has transparent pixels, for which no rule is stated"

// over gives one channel of a pixel that isn't opaque, rounded to nearest.
func (r Alpha) over(v, a byte) byte {
	switch r {
	case AlphaWhite:
		return byte((int(v)*int(a) + 255*(255-int(a)) + 127) / 255)
	case AlphaBlack:
		return byte((int(v)*int(a) + 127) / 255)
	}
	return v
}
