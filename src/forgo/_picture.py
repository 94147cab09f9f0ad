"""Encoded pictures to pixels, by the rules of spec/pictures.md.

Files are checked here, not by Pillow, so that Python and Go (predict/pixels) refuse the same
pictures; conformance/pictures.json holds both to it. Pixels are Pillow's.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from forgo import _jpeg
from forgo._errors import PictureError

MAX_PIXELS = 89_478_485
"""The largest width times height that is decoded: Pillow's own limit."""

JPEG = "image/jpeg"
PNG = "image/png"
SUFFIXES = {".jpg": JPEG, ".jpeg": JPEG, ".png": PNG}

_TRUNCATED_PNG = "it is a truncated PNG"


@dataclass(frozen=True)
class Header:
    """What is read of a picture before any decoding."""

    media: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    encoding: str = ""
    """How the pixels are stored: of a JPEG the process and sampling factors, of a PNG the
    colour type and depth. Golden cases are chosen to cover every encoding seen."""


def decode(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode one JPEG or PNG and apply its EXIF orientation.

    Returns:
        uint8 array [height, width, 3], RGB.

    Raises:
        PictureError: the picture is broken, or of a kind without a stated rule.
    """
    jpeg = _jpeg.parse(data, MAX_PIXELS) if data[:3] == b"\xff\xd8\xff" else None
    header = read_header(data) if jpeg is None else _jpeg_header(jpeg)
    if jpeg is not None:
        data = jpeg.canonical
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow warns of, the header check has judged
            with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image:
                pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as e:
        raise PictureError(f"it cannot be decoded: {e}") from None
    return np.ascontiguousarray(_upright(pixels, header.orientation))


def _upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def read_header(data: bytes) -> Header:
    """Read a picture's header and refuse what no rule covers.

    Raises:
        PictureError: with the reason.
    """
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg_header(_jpeg.parse(data, MAX_PIXELS))
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_header(data)
    raise PictureError("it is empty" if not data else "it is neither a JPEG nor a PNG")


def _check_size(width: int, height: int) -> None:
    if width <= 0 or height <= 0:
        raise PictureError(f"its header gives {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width} x {height} pixels are more than {MAX_PIXELS}")


def _jpeg_header(jpeg: _jpeg.Jpeg) -> Header:
    encoding = ("progressive " if jpeg.progressive else "baseline ") + " ".join(jpeg.sampling)
    if not jpeg.own_tables:
        encoding += ", standard tables"
    orientation = 1 if jpeg.exif is None else exif_orientation(jpeg.exif)
    return Header(JPEG, jpeg.width, jpeg.height, orientation, encoding)


def _png_header(data: bytes) -> Header:
    size: tuple[int, int] | None = None
    orientation = 1
    encoding = ""
    i = 8
    while True:
        if i + 12 > len(data):
            raise PictureError(_TRUNCATED_PNG)
        n = int.from_bytes(data[i : i + 4], "big")
        kind = data[i + 4 : i + 8]
        if kind == b"IDAT":
            if size is None:
                raise PictureError("it is a PNG without a header")
            return Header(PNG, *size, orientation, encoding)
        if n > len(data) - i - 12:
            raise PictureError(_TRUNCATED_PNG)
        chunk = data[i + 8 : i + 8 + n]
        i += 12 + n
        if kind == b"IHDR":
            if len(chunk) < 13:
                raise PictureError(_TRUNCATED_PNG)
            width, height, depth, colour = struct.unpack(">IIBB", chunk[:10])
            _check_size(width, height)
            if depth == 16:
                raise PictureError("it has 16 bits a sample; a rule is stated for up to 8")
            if colour in (4, 6):
                raise PictureError("it has an alpha channel, for which no rule is stated")
            size = width, height
            encoding = f"colour type {colour}, {depth} bit"
        elif kind == b"tRNS":
            raise PictureError("it has transparent pixels, for which no rule is stated")
        elif kind == b"acTL":
            raise PictureError("it is animated, for which no rule is stated")
        elif kind == b"eXIf":
            orientation = exif_orientation(chunk)
        elif kind == b"IEND":
            raise PictureError("it is a PNG without pixels")


def exif_orientation(tiff: bytes) -> int:
    """Find tag 0x0112 in the first directory of a TIFF block.

    Whatever is not one SHORT from 1 to 8 there counts as upright, 1.
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (offset,) = struct.unpack(order + "I", tiff[4:8])
    if offset + 2 > len(tiff):
        return 1
    (count,) = struct.unpack(order + "H", tiff[offset : offset + 2])
    for at in range(offset + 2, offset + 2 + 12 * count, 12):
        if at + 12 > len(tiff):
            return 1
        tag, kind, n, value = struct.unpack(order + "HHIH", tiff[at : at + 10])
        if tag == 0x0112:
            return int(value) if kind == 3 and n == 1 and 1 <= value <= 8 else 1
    return 1
