"""The segments of a JPEG, walked and checked before Pillow decodes it.

Go walks the same bytes by the same rules, in the same order, with the same words
(predict/pixels/jpeg/parse.go). What passes here decodes to the same pixels in both languages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from forgo._errors import PictureError

TRUNCATED = "it is a truncated JPEG"

_MAX_SCANS = 256
_MAX_SEGMENTS = 4096
_MAX_BLOCKS_IN_UNIT = 10
_MAX_SIDE = 65500
# The end of coded data: a marker other than a restart; or fill bytes before a stuffed zero, which are refused.
_END_OF_DATA = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]|\xff\xff+\x00")
_SOF0, _SOF2, _DHT, _DAC, _SOI, _EOI, _SOS, _DQT, _DRI = 0xC0, 0xC2, 0xC4, 0xCC, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD
_APP0, _APP1, _APP14, _COM = 0xE0, 0xE1, 0xEE, 0xFE


@dataclass
class _Component:
    name: int
    across: int
    down: int
    quantization: int
    blocks: int = 0


@dataclass
class Jpeg:
    """A JPEG that was checked."""

    width: int = 0
    height: int = 0
    progressive: bool = False
    sampling: list[str] = field(default_factory=list)
    """Each component's sampling factors, as the file has them."""
    own_tables: bool = False
    """Whether it has Huffman tables of its own."""
    exif: bytes | None = None
    canonical: bytes = b""
    """The file without what decoding doesn't need."""


def parse(data: bytes, max_pixels: int) -> Jpeg:
    """Check a whole file.

    Raises:
        PictureError: with the reason.
    """
    return _Parser(data, max_pixels).walk()


class _Parser:
    def __init__(self, data: bytes, max_pixels: int) -> None:
        self.data = data
        self.max_pixels = max_pixels
        self.jpeg = Jpeg()
        self.components: list[_Component] = []
        self.huffman: set[tuple[int, int]] = set()
        self.quantization: set[int] = set()
        self.latched: set[int] = set()
        self.bits: list[list[int]] = []
        """The lowest bit that scans have given of each component's coefficients, -1 for none."""
        self.scans = 0
        self.jfif = False
        self.adobe: int | None = None

    def walk(self) -> Jpeg:
        data, at = self.data, 2
        if data[:2] != b"\xff\xd8":
            raise PictureError("not a JPEG")
        kept: list[bytes] = []
        while True:
            at = data.find(b"\xff", at)  # bytes between segments are skipped, as libjpeg does
            if at < 0:
                raise PictureError(TRUNCATED)
            while at < len(data) and data[at] == 0xFF:
                at += 1
            if at >= len(data):
                raise PictureError(TRUNCATED)
            marker = data[at]
            at += 1
            if marker <= 0x01 or 0xD0 <= marker <= 0xD7:
                continue  # stands alone
            if marker == _EOI:
                self._complete()
                self.jpeg.canonical = self._canonical(kept)
                return self.jpeg
            if marker == _SOI:
                raise PictureError("a second JPEG starts inside it")
            n = int.from_bytes(data[at : at + 2], "big")
            if at + 2 > len(data) or n < 2 or at + n > len(data):
                raise PictureError(TRUNCATED)
            segment, start = data[at + 2 : at + n], at - 2
            at += n
            self._segment(marker, segment)
            if marker == _SOS:
                at = self._coded_data(segment, at)
            if marker < _APP0:
                if len(kept) == _MAX_SEGMENTS:
                    raise PictureError(f"it has more than {_MAX_SEGMENTS} tables and headers")
                kept.append(data[start:at])

    def _canonical(self, kept: list[bytes]) -> bytes:
        parts = [b"\xff\xd8"]
        if self.jfif:
            parts.append(b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
        if self.adobe is not None:
            parts.append(b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([self.adobe]))
        return b"".join([*parts, *kept, b"\xff\xd9"])

    def _segment(self, marker: int, s: bytes) -> None:
        first = self.scans == 0
        if _SOF0 <= marker <= _SOF2:
            self._frame(marker, s)
        elif marker == _DHT:
            self._huffman_tables(s)
        elif marker == _DQT:
            self._quantization_tables(s)
        elif marker == _DRI:
            if len(s) != 2:
                raise PictureError(f"its restart interval is {len(s)} bytes long")
        elif marker == _SOS:
            self._scan_header(s)
        elif marker == _APP0 and first and len(s) >= 14 and s.startswith(b"JFIF\x00"):
            self.jfif = True
        elif marker == _APP14 and first and len(s) >= 12 and s.startswith(b"Adobe"):
            self.adobe = s[11]
        elif marker == _APP1 and first and self.jpeg.exif is None and s.startswith(b"Exif\x00\x00"):
            self.jpeg.exif = s[6:]
        elif _APP0 <= marker <= 0xEF or marker == _COM:
            pass
        elif marker == _DAC or (0xC3 <= marker <= 0xCF and marker != 0xC8):
            raise PictureError(
                "it is a JPEG of a kind without a stated rule (lossless, hierarchical or arithmetic)"
            )
        else:
            raise PictureError(f"it has a marker FF{marker:02X}, for which no rule is stated")

    def _frame(self, marker: int, s: bytes) -> None:
        if self.components:
            raise PictureError("it has two frame headers")
        if len(s) < 6:
            raise PictureError(TRUNCATED)
        if s[0] != 8:
            raise PictureError(f"it has {s[0]} bits a sample; a rule is stated for 8")
        height, width, n = int.from_bytes(s[1:3], "big"), int.from_bytes(s[3:5], "big"), s[5]
        if n not in (1, 3, 4):
            raise PictureError(f"it is a JPEG with {n} components; a rule is stated for 1, 3 and 4")
        if width == 0 or height == 0:
            raise PictureError(f"its header gives {width} x {height} pixels")
        if width * height > self.max_pixels:
            raise PictureError(f"{width} x {height} pixels are more than {self.max_pixels}")
        if width > _MAX_SIDE or height > _MAX_SIDE:
            raise PictureError(f"{width} x {height} pixels: a side is longer than {_MAX_SIDE}")
        if len(s) != 6 + 3 * n:
            raise PictureError(f"its frame header is {len(s)} bytes long for {n} components")
        for i in range(6, len(s), 3):
            across, down = s[i + 1] >> 4, s[i + 1] & 15
            if not (1 <= across <= 4 and 1 <= down <= 4):
                raise PictureError(f"it has a component sampled {across} x {down}")
            self.jpeg.sampling.append(f"{across}x{down}")
            if n == 1:
                across, down = 1, 1  # alone it is sampled as the picture is, whatever it says
            self.components.append(_Component(s[i], across, down, s[i + 2]))
        widest, tallest = max(c.across for c in self.components), max(c.down for c in self.components)
        for c in self.components:
            if widest % c.across or tallest % c.down:
                raise PictureError(
                    f"it has a component sampled {c.across} x {c.down} beside one of {widest} x {tallest}"
                )
            c.blocks = -(-width * c.across // (8 * widest)) * -(-height * c.down // (8 * tallest))
        self.bits = [[-1] * 64 for _ in self.components]
        self.jpeg.width, self.jpeg.height = width, height
        self.jpeg.progressive = marker == _SOF2
        if not self.jpeg.progressive:  # the tables of Annex K, unless the file has its own
            self.huffman |= {(0, 0), (0, 1), (1, 0), (1, 1)}

    def _huffman_tables(self, s: bytes) -> None:
        self.jpeg.own_tables = True
        while s:
            if len(s) < 17:
                raise PictureError("it has a Huffman table cut short")
            kind, number = s[0] >> 4, s[0] & 15
            if kind > 1 or number > 3:
                raise PictureError(f"it has a Huffman table numbered {number} of class {kind}")
            total = code = 0
            for length in range(1, 17):
                total += s[length]
                code += s[length]
                if s[length] and code >= 1 << length:  # a code of only ones is not allowed
                    raise PictureError("it has a Huffman table with too many codes")
                code <<= 1
            if total > 256:
                raise PictureError("it has a Huffman table with too many codes")
            if len(s) < 17 + total:
                raise PictureError("it has a Huffman table cut short")
            if kind == 0 and max(s[17 : 17 + total], default=0) > 15:
                raise PictureError("it has a Huffman table with a difference of more than 15 bits")
            self.huffman.add((kind, number))
            s = s[17 + total :]

    def _quantization_tables(self, s: bytes) -> None:
        while s:
            size, number = 128 if s[0] >> 4 else 64, s[0] & 15
            if number > 3:
                raise PictureError(f"it has a quantization table numbered {number}")
            if len(s) < 1 + size:
                raise PictureError("it has a quantization table cut short")
            self.quantization.add(number)
            s = s[1 + size :]

    def _scan_header(self, s: bytes) -> None:
        if not self.components:
            raise PictureError("it is a JPEG without a frame header")
        if self.scans == _MAX_SCANS:
            raise PictureError(f"it has more than {_MAX_SCANS} scans")
        if not s or not 1 <= s[0] <= 4 or len(s) != 4 + 2 * s[0]:
            raise PictureError(f"it has a scan header of {len(s)} bytes")
        found = self._scanned(s)
        blocks = sum(self.components[c].across * self.components[c].down for c in found)
        if len(found) > 1 and blocks > _MAX_BLOCKS_IN_UNIT:
            raise PictureError(
                f"it has a scan with {blocks} blocks in a unit; {_MAX_BLOCKS_IN_UNIT} are allowed"
            )
        start, end, bits = s[-3], s[-2], s[-1]
        for i, c in enumerate(found):
            quantization = self.components[c].quantization
            if c not in self.latched and quantization not in self.quantization:
                raise PictureError(f"its quantization table {quantization} is missing")
            self.latched.add(c)
            tables = s[2 + 2 * i]
            for kind, number in enumerate((tables >> 4, tables & 15)):
                needed = not self.jpeg.progressive or (start > 0 if kind else start == 0 and bits >> 4 == 0)
                if needed and (kind, number) not in self.huffman:
                    raise PictureError(f"its Huffman table {number} is missing")
            self._progress(c, len(found), start, end, bits >> 4, bits & 15)
        self.scans += 1

    def _scanned(self, s: bytes) -> list[int]:
        """The components of a scan, as libjpeg finds them: a position in the scan hides the component of that number."""
        found: list[int] = []
        for i in range(s[0]):
            name = s[1 + 2 * i]
            match = [c for c, of in enumerate(self.components) if of.name == name and c >= i]
            if not match or match[0] in found:
                raise PictureError(f"its scan names component {name}, which is missing")
            found.append(match[0])
        return found

    def _progress(self, c: int, together: int, start: int, end: int, high: int, low: int) -> None:
        """Check a component's scans against the order of the standard.

        The DC coefficients first, each bit of each coefficient once, from the highest down.
        """
        disorder = PictureError("its scans are not in the order of the standard")
        bits = self.bits[c]
        if not self.jpeg.progressive:
            if bits[0] >= 0:
                raise disorder
            self.bits[c] = [0] * 64
            return
        if (
            start > end
            or end > 63
            or (start == 0 and end > 0)
            or (start > 0 and (bits[0] < 0 or together > 1))
            or low > 13
            or (high > 0 and low != high - 1)
        ):
            raise disorder
        for k in range(start, end + 1):
            if (bits[k] < 0 and high > 0) or (bits[k] >= 0 and (high == 0 or bits[k] != high)):
                raise disorder
            bits[k] = low

    def _coded_data(self, header: bytes, start: int) -> int:
        """Find the end of a scan's data, and refuse data too short for the scan's blocks.

        Each block takes at least a bit for its DC and, in a sequential scan, one for its AC
        coefficients. So a small file cannot ask for a large picture.
        """
        end = _END_OF_DATA.search(self.data, start)
        if end is None:
            raise PictureError(TRUNCATED)
        if end[0][-1] == 0x00:
            raise PictureError("it has fill bytes inside its coded data")
        if end[0][-1] == 0x01:
            raise PictureError("it has a marker FF01 inside its coded data")
        blocks = sum(self.components[c].blocks for c in self._scanned(header))
        bits = 2 * blocks
        if self.jpeg.progressive:
            bits = 0 if header[-3] > 0 else blocks
        if 8 * (end.start() - start) < bits:
            raise PictureError(f"it has {end.start() - start} bytes of coded data for {blocks} blocks")
        return end.start()

    def _complete(self) -> None:
        """Check at the end marker that every bit of every coefficient has come.

        libjpeg's versions fill in missing ones differently.
        """
        if not self.scans:
            raise PictureError("it is a JPEG without pixels")
        if any(any(bits) for bits in self.bits):
            raise PictureError("it is an incomplete JPEG: scans are missing")
