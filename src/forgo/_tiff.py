"""TIFF: its first directory read and its pixels decoded, as predict/pixels/tiff.go does it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forgo._errors import PictureError

STARTS = (b"II*\x00", b"MM\x00*")
_TRUNCATED = "it is a truncated TIFF"
_MAX_VALUES = 1 << 16
_DAMAGED = "its pixel data is damaged"
# Tags of TIFF 6.0.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _ORIENTATION, _SAMPLES = (
    256,
    257,
    258,
    259,
    262,
    273,
    274,
    277,
)
_ROWS, _COUNTS, _PLANAR, _PREDICTOR, _COLOURS, _TILES, _EXTRA, _FORMAT = (
    278,
    279,
    284,
    317,
    320,
    322,
    338,
    339,
)
_READ = {
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _ORIENTATION, _SAMPLES, _ROWS, _COUNTS,
    _PLANAR, _PREDICTOR, _COLOURS, _TILES, _EXTRA, _FORMAT,
}  # fmt: skip


@dataclass
class Tiff:
    """A TIFF whose first directory was checked."""

    width: int
    height: int
    samples: int
    photometric: int
    deflated: bool
    differences: bool
    """Each sample is the difference from the one to its left."""
    rows_per_strip: int
    strips: list[bytes]
    palette: tuple[int, ...]
    orientation: int

    def pixels(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Colours [height, width, 3] and, where there is any, opacity [height, width].

        Raises:
            PictureError: the pixels are damaged.
        """
        data = b"".join(self._strip(i, strip) for i, strip in enumerate(self.strips))
        samples = np.frombuffer(data, np.uint8).reshape(self.height, self.width, self.samples)
        if self.differences:
            samples = np.cumsum(samples, axis=1, dtype=np.uint8)
        if self.photometric == 3:
            colours = np.array(self.palette, np.uint16).reshape(3, 256) >> 8
            return colours.T.astype(np.uint8)[samples[..., 0]], None
        if self.samples == 1:
            return np.repeat(255 - samples if self.photometric == 0 else samples, 3, axis=2), None
        return samples[..., :3], samples[..., 3] if self.samples == 4 else None

    def _strip(self, number: int, strip: bytes) -> bytes:
        if not self.deflated:
            return strip
        rows = min(self.rows_per_strip, self.height - number * self.rows_per_strip)
        expected = self.width * self.samples * rows
        inflate = zlib.decompressobj()
        try:
            data = inflate.decompress(strip, expected + 1)
        except zlib.error:
            raise PictureError(_DAMAGED) from None
        if len(data) != expected or not inflate.eof:
            raise PictureError(_DAMAGED)
        return data


def parse(data: bytes, max_pixels: int) -> Tiff:
    """Check a file.

    Raises:
        PictureError: with the reason.
    """
    tags = _tags(data)

    def one(tag: int, otherwise: int) -> int:
        return tags.get(tag, (otherwise,))[0]

    width, height, samples, photometric = (
        one(_WIDTH, 0),
        one(_HEIGHT, 0),
        one(_SAMPLES, 1),
        one(_PHOTOMETRIC, -1),
    )
    if width == 0 or height == 0:
        raise PictureError(f"its header gives {width} x {height} pixels")
    if width * height > max_pixels:
        raise PictureError(f"{width} x {height} pixels are more than {max_pixels}")
    orientation = one(_ORIENTATION, 1)
    if not 1 <= orientation <= 8 or len(tags.get(_ORIENTATION, ())) > 1:
        orientation = 1
    compression, predictor, planar = one(_COMPRESSION, 1), one(_PREDICTOR, 1), one(_PLANAR, 1)
    known = compression in (1, 8, 32946) and (predictor == 1 or (predictor == 2 and compression != 1))
    if not known or planar != 1 or _TILES in tags:
        raise PictureError(
            f"it is a TIFF with compression {compression}, predictor {predictor}, planes {planar} or tiles, "
            "for which no rule is stated"
        )
    plain = samples == {0: 1, 1: 1, 2: 3, 3: 1}.get(photometric, -1) and _EXTRA not in tags
    legal = plain or (photometric == 2 and samples == 4 and tags.get(_EXTRA) == (2,))
    bits = tags.get(_BITS, ())
    if not legal or bits != (8,) * samples or any(f != 1 for f in tags.get(_FORMAT, ())):
        raise PictureError(
            f"it is a TIFF of photometric {photometric} with {samples} samples of "
            f"{one(_BITS, 1)} bits, for which no rule is stated"
        )
    palette = tags.get(_COLOURS, ())
    if photometric == 3 and len(palette) != 768:
        raise PictureError("its palette is damaged")
    rows = min(one(_ROWS, height), height)
    if rows == 0:
        raise PictureError("its strips have no rows")
    count, offsets, counts = -(-height // rows), tags.get(_OFFSETS, ()), tags.get(_COUNTS, ())
    if len(offsets) != count or len(counts) != count:
        raise PictureError(f"it has {count} strips, and places of {len(offsets)} and sizes of {len(counts)}")
    strips = []
    for i, (offset, size) in enumerate(zip(offsets, counts, strict=True)):
        if offset + size > len(data):
            raise PictureError(_TRUNCATED)
        if compression == 1 and size != width * samples * min(rows, height - i * rows):
            raise PictureError(_DAMAGED)
        strips.append(data[offset : offset + size])
    return Tiff(
        width,
        height,
        samples,
        photometric,
        compression != 1,
        predictor == 2,
        rows,
        strips,
        palette,
        orientation,
    )


def _tags(data: bytes) -> dict[int, tuple[int, ...]]:
    if len(data) < 8:
        raise PictureError(_TRUNCATED)
    order = ">" if data[:1] == b"M" else "<"
    (at,) = struct.unpack(order + "I", data[4:8])
    if at + 2 > len(data):
        raise PictureError(_TRUNCATED)
    (count,) = struct.unpack(order + "H", data[at : at + 2])
    if at + 2 + 12 * count > len(data):
        raise PictureError(_TRUNCATED)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, n = struct.unpack(order + "HHI", data[entry : entry + 8])
        size = {3: 2, 4: 4}.get(kind, 0)
        if size == 0 or n == 0 or tag not in _READ:
            continue  # no number, or of no concern
        if n > _MAX_VALUES:
            raise PictureError(f"its tag {tag} has {n} values")
        if tag in tags:
            raise PictureError(f"it has the tag {tag} twice")
        place = entry + 8
        if n * size > 4:
            (place,) = struct.unpack(order + "I", data[entry + 8 : entry + 12])
        if place + n * size > len(data):
            raise PictureError(_TRUNCATED)
        tags[tag] = struct.unpack(f"{order}{n}{'H' if size == 2 else 'I'}", data[place : place + n * size])
    return tags
