"""BMP: reads the header and decodes the pixels, as predict/pixels/bmp.go does."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forgo._errors import PictureError

_TRUNCATED = "it is a truncated BMP"
_MASKS = [
    (0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0), (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
]  # fmt: skip
"""The masks of red, green, blue and alpha that 32-bit pixels may have."""
_MASKS_16 = [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)]


@dataclass
class Bmp:
    """A BMP that was checked."""

    width: int
    height: int
    top_down: bool
    bits: int
    palette: bytes
    """Blue, green and red of 256 entries."""
    masks: tuple[int, ...]
    runs: bool
    """Rows are coded in runs."""
    data: bytes

    def pixels(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Colours [height, width, 3] and, if there is any, opacity [height, width]."""
        if self.runs:
            return self._coded()
        stride = (self.width * self.bits + 31) // 32 * 4
        rows = np.frombuffer(self.data, np.uint8, stride * self.height).reshape(self.height, stride)
        rows = rows if self.top_down else rows[::-1]
        if self.bits == 24:
            return rows[:, : 3 * self.width].reshape(self.height, self.width, 3)[..., ::-1], None
        if self.bits <= 8:
            shifts = np.arange(8 - self.bits, -1, -self.bits, dtype=np.uint8)
            indices = (rows[..., None] >> shifts & ((1 << self.bits) - 1)).reshape(self.height, -1)
            return np.frombuffer(self.palette, np.uint8).reshape(256, 3)[:, ::-1][
                indices[:, : self.width]
            ], None
        values = np.ascontiguousarray(rows).view("<u2" if self.bits == 16 else "<u4")[:, : self.width]
        colours = np.stack([_spread(values, mask) for mask in self.masks[:3]], axis=2)
        return colours, _spread(values, self.masks[3]) if self.masks[3] else None

    def _coded(self) -> tuple[npt.NDArray[np.uint8], None]:
        """Pixels of rows that are coded in runs. Skipped pixels have index 0."""
        indices = np.zeros((self.height, self.width), np.uint8)
        data, x, y, at = self.data, 0, 0, 0
        while at + 2 <= len(data):
            count, value = data[at], data[at + 1]
            at += 2
            size = (value * self.bits + 7) // 8
            if count == 0 and value == 0:  # the row ends
                x, y = 0, y + 1
                continue
            if count == 0 and value == 1:  # the picture ends
                colours = np.frombuffer(self.palette, np.uint8).reshape(256, 3)[:, ::-1]
                return colours[indices[::-1]], None
            if count == 0 and value == 2:  # pixels are left out
                if at + 2 > len(data):
                    break
                x, y, at = x + data[at], y + data[at + 1], at + 2
                continue
            if count == 0:
                run = np.frombuffer(data[at : at + size], np.uint8)
                count, at = value, at + size + size % 2
            else:
                run = np.full(count, value, np.uint8)
            if y >= self.height or x + count > self.width or at > len(data):
                break
            if self.bits == 4:
                run = np.stack([run >> 4, run & 15], axis=1).reshape(-1)
            indices[y, x : x + count] = run[:count]
            x += count
        raise PictureError("its pixel data is damaged")


def _spread(values: npt.NDArray[np.integer], mask: int) -> npt.NDArray[np.uint8]:
    """Scale a mask's bits to 0 to 255, rounded down."""
    low = mask & -mask
    return ((values.astype(np.uint64) & mask) // low * 255 // (mask // low)).astype(np.uint8)


def parse(data: bytes, max_pixels: int) -> Bmp:
    """Check a file.

    Raises:
        PictureError: with the reason.
    """
    if len(data) < 18:
        raise PictureError(_TRUNCATED)
    start, size = struct.unpack("<II", data[10:18])
    if size not in (12, 40, 52, 56, 64, 108, 124):
        raise PictureError(f"its header is {size} bytes long, for which no rule is stated")
    at, compression, colours, entry = 14 + size, 0, 0, 4
    if len(data) < at:
        raise PictureError(_TRUNCATED)
    if size == 12:
        width, height, _, bits = struct.unpack("<HHHH", data[18:26])
        entry = 3
    else:
        width, height, _, bits, compression = struct.unpack("<iiHHI", data[18:34])
        (colours,) = struct.unpack("<I", data[46:50])
    top_down, height = height < 0, abs(height)
    if width <= 0 or height == 0:
        raise PictureError(f"its header gives {width} x {height} pixels")
    if width * height > max_pixels:
        raise PictureError(f"{width} x {height} pixels are more than {max_pixels}")
    plain = compression == 0 and bits in (1, 4, 8, 16, 24, 32)
    runs = not top_down and (compression, bits) in ((1, 8), (2, 4))
    if not plain and not runs and not (compression == 3 and size != 64 and bits in (16, 32)):
        raise PictureError(
            f"it has {bits} bits a pixel and compression {compression}, for which no rule is stated"
        )
    palette, masks = b"", _MASKS_16[1] if bits == 16 else _MASKS[0]
    if bits <= 8:
        colours = colours or 1 << bits
        if colours > 256:
            raise PictureError(f"its palette has {colours} entries")
        if len(data) < at + entry * colours:
            raise PictureError(_TRUNCATED)
        palette = b"".join(data[at + entry * i : at + entry * i + 3] for i in range(colours))
        at += entry * colours
    elif compression == 3:
        if size == 40:
            at += 12
            if len(data) < at:
                raise PictureError(_TRUNCATED)
        masks = (
            struct.unpack("<IIII", data[54:70]) if size >= 56 else (*struct.unpack("<III", data[54:66]), 0)
        )
        if masks not in (_MASKS_16 if bits == 16 else _MASKS):
            raise PictureError(
                "it has the colour masks {:x}, {:x}, {:x} and {:x}, for which no rule is stated".format(
                    *masks
                )
            )
    if start < at:
        raise PictureError("its pixels begin inside its header")
    if start > len(data) or (not runs and start + (width * bits + 31) // 32 * 4 * height > len(data)):
        raise PictureError(_TRUNCATED)
    if runs and width * height > 128 * (len(data) - start):
        raise PictureError(f"its runs have {len(data) - start} bytes for {width} x {height} pixels")
    return Bmp(width, height, top_down, bits, palette.ljust(768, b"\x00"), masks, runs, data[start:])
