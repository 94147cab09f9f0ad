"""TIFF: reads the first directory and decodes the pixels, as predict/pixels/tiff.go does.

Pillow unpacks LZW; this module does the rest.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from forgo._errors import PictureError

STARTS = (b"II*\x00", b"MM\x00*")
_TRUNCATED = "it is a truncated TIFF"
_MAX_VALUES = 1 << 16
_MAX_LZW = 178_956_970
"""The largest strip or tile, which Pillow unpacks at once, in bytes."""
_BATCH = 1 << 25
"""The bytes that Pillow unpacks at once if strips are small."""
_DAMAGED = "its pixel data is damaged"
# Tags of TIFF 6.0.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL = 256, 257, 258, 259, 262, 266
_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS, _COUNTS, _PLANAR = 273, 274, 277, 278, 279, 284
_PREDICTOR, _COLOURS, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 317, 320, 322, 323, 324, 325
_EXTRA, _FORMAT = 338, 339
_READ = {
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL, _OFFSETS, _ORIENTATION, _SAMPLES, _ROWS, _COUNTS,
    _PLANAR, _PREDICTOR, _COLOURS, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _EXTRA, _FORMAT,
}  # fmt: skip
_PLAIN, _LZW, _DEFLATE, _OLD_DEFLATE, _PACK_BITS = 1, 5, 8, 32946, 32773
_OTHER = {
    2: "fax codes", 3: "fax codes", 4: "fax codes", 6: "JPEG of the old kind", 7: "JPEG", 34712: "JPEG 2000",
    34892: "JPEG", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
"""Compressions that are not decoded."""


@dataclass
class _Part:
    """A strip or a tile."""

    data: bytes
    plane: int
    x: int
    y: int
    width: int
    height: int
    """The whole tile's size."""


@dataclass
class Tiff:
    """A TIFF whose first directory was checked."""

    width: int
    height: int
    order: str
    samples: int
    bits: int
    photometric: int
    alpha: bool
    """Whether the last sample is alpha."""
    planar: bool
    """Whether each sample has parts of its own."""
    compression: int
    differences: bool
    """Whether each sample is the difference from the one to its left."""
    parts: list[_Part]
    palette: tuple[int, ...]
    orientation: int

    def pixels(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Colours [height, width, 3] and, if there is any, opacity [height, width].

        Raises:
            PictureError: the pixels are damaged.
        """
        samples = np.empty((self.height, self.width, self.samples), np.uint8)
        for part, data in zip(self.parts, self._unpacked(), strict=True):
            values = self._values(part, data)
            place = samples[part.y : part.y + part.height, part.x : part.x + part.width]
            values = values[: place.shape[0], : place.shape[1]]
            if self.planar:
                place[..., part.plane] = values[..., 0]
            else:
                place[...] = values
        if self.bits < 8 and self.photometric != 3:
            samples *= 255 // ((1 << self.bits) - 1)
        opacity = samples[..., -1] if self.alpha else None
        if self.photometric == 0:
            return np.repeat(255 - samples, 3, axis=2), None
        if self.photometric == 1:
            return np.repeat(samples[..., :1], 3, axis=2), opacity
        if self.photometric == 3:
            colours = np.array(self.palette, np.uint16).reshape(3, 1 << self.bits) >> 8
            return colours.T.astype(np.uint8)[samples[..., 0]], None
        if self.photometric == 5:
            white = 255 - samples[..., 3:].astype(np.uint16)
            return (white - (samples[..., :3] * white + 127) // 255).astype(np.uint8), None
        return samples[..., :3], opacity

    def _per_pixel(self) -> int:
        return 1 if self.planar else self.samples

    def row_bytes(self, part: _Part) -> int:
        """The bytes of a part's row."""
        return (part.width * self._per_pixel() * self.bits + 7) // 8

    def _values(self, part: _Part, data: bytes) -> npt.NDArray[np.uint8]:
        """Samples [height, width, samples per pixel]: the upper eight of 16 bits; fewer than 8 bits as they are."""
        shape = (part.height, part.width, self._per_pixel())
        if self.bits == 16:
            wide = np.frombuffer(data, self.order + "u2").reshape(shape).astype(np.uint16)
            if self.differences:
                wide = np.cumsum(wide, axis=1, dtype=np.uint16)
            return (wide >> 8).astype(np.uint8)
        packed = np.frombuffer(data, np.uint8)
        if self.bits == 8:
            values = packed.reshape(shape)
            return np.cumsum(values, axis=1, dtype=np.uint8) if self.differences else values
        shifts = np.arange(8 - self.bits, -1, -self.bits, dtype=np.uint8)
        spread = (packed.reshape(part.height, -1, 1) >> shifts) & ((1 << self.bits) - 1)
        return spread.reshape(part.height, -1)[:, : part.width * shape[2]].reshape(shape).astype(np.uint8)

    def _unpacked(self) -> Iterator[bytes]:
        """Each part's rows."""
        if self.compression == _LZW:
            yield from self._unpacked_lzw()
            return
        for part in self.parts:
            size = self.row_bytes(part) * part.height
            if self.compression == _PLAIN:
                yield part.data[:size]
            elif self.compression == _PACK_BITS:
                yield _unpack_bits(part.data, size)
            else:
                yield _inflate(part.data, size)

    def _unpacked_lzw(self) -> Iterator[bytes]:
        batch: list[_Part] = []
        size = 0
        for part in self.parts:
            wide, alike = self.row_bytes(part), True
            if batch:
                alike = batch[0].height == batch[-1].height and part.height <= batch[0].height
            if batch and (size + wide * part.height > _BATCH or not alike):
                yield from _unpack_lzw(batch, self.row_bytes(batch[0]))
                batch, size = [], 0
            batch.append(part)
            size += wide * part.height
        yield from _unpack_lzw(batch, self.row_bytes(batch[0]))


def _inflate(data: bytes, size: int) -> bytes:
    inflate = zlib.decompressobj()
    try:
        made = inflate.decompress(data, size + 1)
    except zlib.error:
        raise PictureError(_DAMAGED) from None
    if len(made) != size or not inflate.eof:
        raise PictureError(_DAMAGED)
    return made


def _unpack_bits(data: bytes, size: int) -> bytes:
    made, have, at = [], 0, 0
    while have < size:
        if at + 2 > len(data):
            raise PictureError(_DAMAGED)
        n = data[at]
        at += 1
        if n < 128:
            n = min(n + 1, size - have)
            if at + n > len(data):
                raise PictureError(_DAMAGED)
            made.append(data[at : at + n])
            at += n
        elif n > 128:
            n = min(257 - n, size - have)
            made.append(data[at : at + 1] * n)
            at += 1
        else:
            continue
        have += n
    return b"".join(made)


def _unpack_lzw(parts: list[_Part], wide: int) -> Iterator[bytes]:
    """Unpack parts of one height (the last may be lower) as a grey picture that Pillow opens."""
    rows = sum(part.height for part in parts)
    data = b"".join(part.data for part in parts)
    n = len(parts)
    directory = 8 + len(data) + len(data) % 2
    numbers = directory + 2 + 12 * 9 + 4
    ends = np.cumsum([8] + [len(part.data) for part in parts]).tolist()
    offsets, counts = ends[:-1], [len(part.data) for part in parts]
    tags = {
        _WIDTH: wide, _HEIGHT: rows, _BITS: 8, _COMPRESSION: _LZW, _PHOTOMETRIC: 1,
        _OFFSETS: numbers if n > 1 else offsets[0], _SAMPLES: 1, _ROWS: parts[0].height,
        _COUNTS: numbers + 4 * n if n > 1 else counts[0],
    }  # fmt: skip
    entries = b"".join(
        struct.pack("<HHII", tag, 4, n if tag in (_OFFSETS, _COUNTS) else 1, value)
        for tag, value in tags.items()
    )
    file = b"II*\x00" + struct.pack("<I", directory) + data + bytes(len(data) % 2)
    file += struct.pack("<H", len(tags)) + entries + bytes(4) + struct.pack(f"<{2 * n}I", *offsets, *counts)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
                made = image.tobytes()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise PictureError(_DAMAGED) from None
    at = 0
    for part in parts:
        yield made[at : at + wide * part.height]
        at += wide * part.height


def parse(data: bytes, max_pixels: int) -> Tiff:
    """Check a file.

    Raises:
        PictureError: with the reason.
    """
    tags = _tags(data)

    def one(tag: int, otherwise: int) -> int:
        return tags.get(tag, (otherwise,))[0]

    width, height, samples = one(_WIDTH, 0), one(_HEIGHT, 0), one(_SAMPLES, 1)
    bits, photometric = one(_BITS, 1), one(_PHOTOMETRIC, -1)
    if width == 0 or height == 0:
        raise PictureError(f"its header gives {width} x {height} pixels")
    if width * height > max_pixels:
        raise PictureError(f"{width} x {height} pixels are more than {max_pixels}")
    orientation = one(_ORIENTATION, 1)
    if not 1 <= orientation <= 8 or len(tags.get(_ORIENTATION, ())) > 1:
        orientation = 1
    compression = one(_COMPRESSION, 1)
    if compression in _OTHER:
        raise PictureError(
            f"it is a TIFF compressed by {_OTHER[compression]}, which is not decoded: convert it to PNG"
        )
    predictor, planar, fill = one(_PREDICTOR, 1), one(_PLANAR, 1), one(_FILL, 1)
    known = compression in (_PLAIN, _LZW, _DEFLATE, _OLD_DEFLATE, _PACK_BITS)
    differing = predictor == 2 and bits >= 8 and compression not in (_PLAIN, _PACK_BITS)
    if not known or not (predictor == 1 or differing) or planar not in (1, 2) or fill != 1:
        raise PictureError(
            f"it is a TIFF with compression {compression}, predictor {predictor}, planes {planar} and fill "
            f"order {fill}, for which no rule is stated"
        )
    legal, alpha = _legal(tags, photometric, samples, bits)
    if not legal or (planar == 2 and samples > 1 and bits != 8):
        raise PictureError(
            f"it is a TIFF of photometric {photometric} with {samples} samples of {bits} bits, "
            "for which no rule is stated"
        )
    palette = tags.get(_COLOURS, ())
    if photometric == 3 and len(palette) != 3 << bits:
        raise PictureError("its palette is damaged")
    tiff = Tiff(
        width, height, ">" if data[:1] == b"M" else "<", samples, bits, photometric, alpha,
        planar == 2 and samples > 1, compression, predictor == 2, [], palette, orientation,
    )  # fmt: skip
    _divide(tiff, data, tags, max_pixels)
    return tiff


def _legal(tags: dict[int, tuple[int, ...]], photometric: int, samples: int, bits: int) -> tuple[bool, bool]:
    """Whether pixels are of a kind that has a rule, and whether they have alpha."""
    every, extra = tags.get(_BITS, ()), tags.get(_EXTRA, ())
    if any(b != bits for b in every) or any(f != 1 for f in tags.get(_FORMAT, ())):
        return False, False
    if len(every) > 1 and len(every) != samples:
        return False, False
    kinds = {0: (1, 1, 8), 1: (1, 1, 16), 2: (3, 8, 16), 3: (1, 1, 8), 5: (4, 8, 16)}
    colours, least, most = kinds.get(photometric, (0, 0, 0))
    if colours == 0 or bits not in (1, 2, 4, 8, 16) or not least <= bits <= most:
        return False, False
    if samples == colours:
        return not extra, False
    if samples != colours + 1 or photometric not in (1, 2) or (colours == 1 and bits != 8):
        return False, False
    if not extra:
        return colours == 3, True
    return extra in ((0,), (2,)), extra[0] == 2


def _divide(tiff: Tiff, data: bytes, tags: dict[int, tuple[int, ...]], max_pixels: int) -> None:
    """Find the strips or tiles."""

    def one(tag: int, otherwise: int) -> int:
        return tags.get(tag, (otherwise,))[0]

    width, height, kind = tiff.width, min(one(_ROWS, tiff.height), tiff.height), "strips"
    offsets, counts = tags.get(_OFFSETS, ()), tags.get(_COUNTS, ())
    tiled = _TILE_WIDTH in tags or _TILE_HEIGHT in tags
    if tiled:
        width, height, kind = one(_TILE_WIDTH, 0), one(_TILE_HEIGHT, 0), "tiles"
        offsets, counts = tags.get(_TILE_OFFSETS, ()), tags.get(_TILE_COUNTS, ())
    if width == 0 or height == 0:
        raise PictureError(f"its {kind} have no rows")
    across, down = -(-tiff.width // width), -(-tiff.height // height)
    if tiled and across * width * down * height > max_pixels:
        raise PictureError(f"its tiles of {width} x {height} pixels are too large")
    n = across * down * (tiff.samples if tiff.planar else 1)
    if len(offsets) != n or len(counts) != n:
        raise PictureError(f"it has {n} {kind}, but {len(offsets)} offsets and {len(counts)} byte counts")
    for i, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
        if offset + count > len(data):
            raise PictureError(_TRUNCATED)
        plane, at = divmod(i, across * down)
        part = _Part(
            data[offset : offset + count], plane, at % across * width, at // across * height, width, height
        )
        if not tiled:
            part.height = min(height, tiff.height - part.y)
        size = tiff.row_bytes(part) * part.height
        if tiff.compression == _PLAIN and count < size:
            raise PictureError(_DAMAGED)
        if tiff.compression == _LZW and size > _MAX_LZW:
            raise PictureError(f"its {kind} of {size} bytes are more than {_MAX_LZW}")
        if tiff.compression == _LZW and part.data[:1] == b"\0" and part.data[1:2] and part.data[1] & 1:
            raise PictureError(
                "it is a TIFF compressed by old-style LZW, which is not decoded: convert it to PNG"
            )
        tiff.parts.append(part)


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
