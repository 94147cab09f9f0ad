package pixels

// Alpha says what becomes of transparent pixels.
type Alpha string

const (
	// AlphaRefused refuses pictures with a pixel that isn't opaque.
	AlphaRefused Alpha = ""
	// AlphaDropped takes each pixel's colour and forgets its alpha, as Pillow's convert("RGB") does,
	// and with it Keras and torchvision.
	AlphaDropped Alpha = "drop"
	// AlphaWhite and AlphaBlack lay the picture over a white or black ground.
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
