"""The chunks of a PNG, walked and checked before Pillow decodes it.

Go reads the same bytes by the same rules, with the same words (predict/pixels/png.go).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from forgo._errors import PictureError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6

_TRUNCATED = "it is a truncated PNG"
_DAMAGED = "its pixel data is damaged"
_DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
_SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
_READ = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass
class Png:
    """A PNG whose chunks were checked."""

    width: int = 0
    height: int = 0
    depth: int = 0
    colour: int = 0
    interlaced: bool = False
    palette: bytes | None = None
    key: tuple[int, ...] | None = None
    """The sample values of transparent pixels in a grey or colour picture."""
    alphas: bytes | None = None
    """The alpha values of a palette's entries."""
    exif: bytes | None = None
    data: list[bytes] = field(default_factory=list)
    """The data of the IDAT chunks."""
    header: bytes = b""

    def canonical(self) -> bytes:
        """The file without what decoding doesn't need.

        An index past the palette is black. The caller handles transparency.
        """
        chunks = [(b"IHDR", self.header)]
        if self.palette is not None:
            chunks.append((b"PLTE", self.palette.ljust(768, b"\x00")))
        chunks += [(b"IDAT", b"".join(self.data)), (b"IEND", b"")]
        return SIGNATURE + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )

    def check_pixels(self) -> None:
        """Inflate the pixels and refuse too few, too many, and filters that PNG doesn't have.

        Raises:
            PictureError: with the reason.
        """
        rows = self._rows()
        expected = sum(size * count for size, count in rows)
        inflate = zlib.decompressobj()
        try:
            pixels = inflate.decompress(b"".join(self.data), expected + 1)
        except zlib.error:
            raise PictureError(_DAMAGED) from None
        if len(pixels) != expected or not inflate.eof:
            raise PictureError(_DAMAGED)
        at = 0
        for size, count in rows:
            if max(pixels[at : at + size * count : size]) > 4:
                raise PictureError(_DAMAGED)
            at += size * count

    def _rows(self) -> list[tuple[int, int]]:
        """The size in bytes of each pass's rows, with the filter's, and their number."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        sizes = [
            (-(-(self.width - x) // across), -(-(self.height - y) // down)) for x, y, across, down in passes
        ]
        bits = self.depth * _SAMPLES[self.colour]
        return [(1 + (width * bits + 7) // 8, height) for width, height in sizes if width > 0 and height > 0]


def parse(data: bytes, max_pixels: int) -> Png:
    """Check a file's chunks.

    Raises:
        PictureError: with the reason.
    """
    png, at, transparent, ended = Png(), 8, False, False
    while True:
        if at + 12 > len(data):
            raise PictureError(_TRUNCATED)
        n, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if (png.width == 0) != (kind == b"IHDR"):
            raise PictureError("it is a PNG without a header" if png.width == 0 else "it has two headers")
        if n > len(data) - at - 12:
            raise PictureError(_TRUNCATED)
        chunk = data[at + 8 : at + 8 + n]
        checksum = int.from_bytes(data[at + 8 + n : at + 12 + n], "big")
        at += 12 + n
        if kind not in _READ and (
            png.data or kind not in (b"tRNS", b"eXIf")
        ):  # behind the pixels nothing is read
            if not kind[0] & 0x20:
                raise PictureError(f"it has a chunk {kind.hex()}, for which no rule is stated")
            ended = ended or bool(png.data)
            continue
        if zlib.crc32(kind + chunk) != checksum:
            raise PictureError(f"its {kind.decode()} chunk is damaged")
        if kind == b"IHDR":
            _header(png, chunk, max_pixels)
        elif kind == b"PLTE":
            if png.colour == PALETTE and not png.data:  # else a suggestion at most
                if png.palette is not None or n == 0 or n % 3 or n > 768:
                    raise PictureError("its palette is damaged")
                png.palette = chunk
        elif kind == b"tRNS":
            if not transparent:
                transparent = True
                _transparency(png, chunk)
        elif kind == b"eXIf":
            png.exif = chunk if png.exif is None else png.exif
        elif kind == b"IDAT":
            if png.colour == PALETTE and png.palette is None:
                raise PictureError("its palette is missing")
            if ended:
                raise PictureError("its pixel data is in two places")
            png.data.append(chunk)
            continue
        else:
            if not png.data:
                raise PictureError("it is a PNG without pixels")
            return png
        ended = ended or bool(png.data)


def _header(png: Png, chunk: bytes, max_pixels: int) -> None:
    if len(chunk) != 13:
        raise PictureError("its IHDR chunk is damaged")
    width, height, depth, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", chunk)
    if width == 0 or height == 0:
        raise PictureError(f"its header gives {width} x {height} pixels")
    if width * height > max_pixels:
        raise PictureError(f"{width} x {height} pixels are more than {max_pixels}")
    if depth not in _DEPTHS.get(colour, ()) or compression or filters or interlace > 1:
        raise PictureError(
            f"its header names colour type {colour} with {depth} bits, compression {compression}, "
            f"filter {filters}, interlace {interlace}"
        )
    png.width, png.height, png.depth, png.colour, png.header = width, height, depth, colour, chunk
    png.interlaced = interlace == 1


def _transparency(png: Png, chunk: bytes) -> None:
    damaged = PictureError("its tRNS chunk is damaged")
    if png.colour == PALETTE:
        if len(chunk) > 256:
            raise damaged
        png.alphas = chunk.ljust(256, b"\xff")
    elif png.colour in (GREY, RGB):
        if png.depth == 16:
            raise PictureError(
                "it has 16 bits a sample and a transparent colour, for which no rule is stated"
            )
        if len(chunk) != 2 * _SAMPLES[png.colour]:
            raise damaged
        mask = (1 << png.depth) - 1
        png.key = tuple(v & mask for v in struct.unpack(f">{_SAMPLES[png.colour]}H", chunk))
