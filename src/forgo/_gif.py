"""GIF: checks everything up to the first frame, which Pillow unpacks.

Go reads the same bytes by the same rules, with the same words (predict/pixels/gif.go).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forgo._errors import PictureError

TRUNCATED = "it is a truncated GIF"


@dataclass
class Gif:
    """A GIF up to its first frame."""

    width: int
    height: int
    """The screen's size, enlarged if the frame reaches beyond it."""
    x: int
    y: int
    frame_width: int
    frame_height: int
    flags: int
    palette: bytes | None
    """None means that an index is a grey."""
    transparent: int | None
    codes: bytes
    """The size of the first codes, and the blocks of codes."""

    def canonical(self) -> bytes:
        """Only the frame, without a palette: its pixels are the indices."""
        size = struct.pack("<HH", self.frame_width, self.frame_height)
        return (
            b"GIF89a"
            + size
            + bytes(3)
            + b","
            + bytes(4)
            + size
            + bytes([self.flags & 0x40])
            + self.codes
            + b";"
        )

    def pixels(
        self, frame: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Colours [height, width, 3] and, if one is transparent, opacity [height, width]."""
        indices = np.full((self.height, self.width), self.transparent or 0, np.uint8)
        indices[self.y : self.y + self.frame_height, self.x : self.x + self.frame_width] = frame
        if self.palette is None:
            colours = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        else:
            colours = np.frombuffer(self.palette.ljust(768, b"\x00"), np.uint8).reshape(256, 3)
        if self.transparent is None:
            return colours[indices], None
        return colours[indices], np.where(indices == self.transparent, 0, 255).astype(np.uint8)


def parse(data: bytes, max_pixels: int) -> Gif:
    """Check a file up to the end of its first frame.

    Raises:
        PictureError: with the reason.
    """
    if len(data) < 13:
        raise PictureError(TRUNCATED)
    width, height, flags = struct.unpack("<HHB", data[6:11])
    palette, at = _palette(data, 13, flags)
    transparent = None
    while True:
        kind = _byte(data, at)
        at += 1
        if kind == 0x21:  # an extension
            label = _byte(data, at)
            end = _blocks_end(data, at + 1)
            block = data[at + 2 : at + 2 + data[at + 1]]
            at = end
            if label == 0xF9 and block and block[0] & 1:
                if len(block) < 4:
                    raise PictureError("its graphic control is damaged")
                transparent = block[3]
        elif kind == 0x2C:  # a frame
            if at + 9 > len(data):
                raise PictureError(TRUNCATED)
            x, y, across, down, flags = struct.unpack("<HHHHB", data[at : at + 9])
            width, height = max(width, x + across), max(height, y + down)
            if across == 0 or down == 0:
                raise PictureError(f"its first frame has {across} x {down} pixels")
            if width * height > max_pixels:
                raise PictureError(f"{width} x {height} pixels are more than {max_pixels}")
            own, at = _palette(data, at + 9, flags)
            size = _byte(data, at)
            if not 1 <= size <= 8:
                raise PictureError(f"its codes begin with {size} bits")
            codes = data[at : _blocks_end(data, at + 1)]
            return Gif(
                width, height, x, y, across, down, flags, palette if own is None else own, transparent, codes
            )
        elif kind == 0x3B:
            raise PictureError("it is a GIF without a picture")
        else:
            raise PictureError(f"it has a block {kind:02x}, for which no rule is stated")


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise PictureError(TRUNCATED)
    return data[at]


def _palette(data: bytes, at: int, flags: int) -> tuple[bytes | None, int]:
    if not flags & 0x80:
        return None, at
    size = 3 * (2 << (flags & 7))
    if at + size > len(data):
        raise PictureError(TRUNCATED)
    return data[at : at + size], at + size


def _blocks_end(data: bytes, at: int) -> int:
    while size := _byte(data, at):
        at += 1 + size
        if at > len(data):
            raise PictureError(TRUNCATED)
    return at + 1
