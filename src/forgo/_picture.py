"""Encoded pictures to pixels, by the rules of spec/pictures.md.

This module checks files, not Pillow, so that Python and Go (predict/pixels) refuse the same
pictures, which conformance/pictures.json tests. Pixels are Pillow's.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from forgo import _bmp, _gif, _jpeg, _png, _tiff, _webp
from forgo._errors import PictureError

MAX_PIXELS = 89_478_485
"""The largest width times height that is decoded: Pillow's own limit."""

JPEG = "image/jpeg"
PNG = "image/png"
GIF = "image/gif"
BMP = "image/bmp"
TIFF = "image/tiff"
WEBP = "image/webp"
FORMATS = {
    "JPEG": (JPEG, ".jpg", ".jpeg"),
    "PNG": (PNG, ".png"),
    "GIF": (GIF, ".gif"),
    "BMP": (BMP, ".bmp"),
    "TIFF": (TIFF, ".tif", ".tiff"),
    "WebP": (WEBP, ".webp"),
}
"""The formats with a rule in spec/pictures.md: a name, its media type, and its suffixes."""
MEDIA = tuple(media for media, *_ in FORMATS.values())
SUFFIXES = {ending: media for media, *endings in FORMATS.values() for ending in endings}
_NAMES = ", ".join([*FORMATS][:-1]) + f" or {[*FORMATS][-1]}"
_OTHERS = {
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x00\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"II\x2b\x00": "BigTIFF",
    b"MM\x00\x2b": "BigTIFF",
    b"8BPS": "a Photoshop document",
    b"%PDF-": "a PDF document",
    b"\x00\x00\x01\x00": "an icon",
    b"<svg": "SVG",
    b"<?xml": "XML",
}
"""Formats for which no rule is stated, by their first bytes."""


@dataclass(frozen=True)
class Header:
    """What a picture's header tells before any decoding."""

    media: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    encoding: str = ""
    """How the pixels are stored: for a JPEG the process and sampling factors, for a PNG the
    colour type and depth. Golden cases are chosen to cover every encoding seen."""


_GIF = (b"GIF87a", b"GIF89a")

Alpha = Literal["drop", "white", "black"]
"""What happens to transparent pixels: only their colour counts, as in Pillow's ``convert("RGB")``, or
they are blended with a white or black background."""
ALPHAS: tuple[str, ...] = get_args(Alpha)


def decode(data: bytes, alpha: Alpha = "drop") -> npt.NDArray[np.uint8]:
    """Decode one picture and apply its EXIF orientation.

    Returns:
        uint8 array [height, width, 3], RGB.

    Raises:
        PictureError: the picture is broken, or of a kind without a stated rule.
    """
    if data[:3] == b"\xff\xd8\xff":
        jpeg = _jpeg.parse(data, MAX_PIXELS)
        header, pixels = _jpeg_header(jpeg), _opened(jpeg.canonical, "JPEG", "RGB")
    elif data[:8] == _png.SIGNATURE:
        png = _png.parse(data, MAX_PIXELS)
        png.check_pixels()
        header, pixels = _png_header(png), _png_pixels(png, alpha)
    elif data[:6] in _GIF:
        gif = _gif.parse(data, MAX_PIXELS)
        header, pixels = _gif_header(gif), _laid(*gif.pixels(_opened(gif.canonical(), "GIF", None)), alpha)
    elif data[:4] in _tiff.STARTS:
        tiff = _tiff.parse(data, MAX_PIXELS)
        header, pixels = _tiff_header(tiff), _laid(*tiff.pixels(), alpha)
    elif data[:2] == b"BM":
        bmp = _bmp.parse(data, MAX_PIXELS)
        header, pixels = _bmp_header(bmp), _laid(*bmp.pixels(), alpha)
    elif _webp.starts(data):
        webp = _webp.parse(data, MAX_PIXELS)
        frame = _opened(webp.canonical(), "WEBP", "RGBA" if webp.transparent else "RGB")
        header, pixels = _webp_header(webp), _laid(*webp.pixels(frame), alpha)
    else:
        header = read_header(data)  # which refuses it
    return np.ascontiguousarray(_upright(pixels, header.orientation))


def _opened(data: bytes, kind: str, mode: str | None) -> npt.NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the checks have judged what Pillow warns of
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                return np.asarray(image.convert(mode) if mode and image.mode != mode else image)
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        raise PictureError("it cannot be decoded") from None


def _png_pixels(png: _png.Png, alpha: Alpha) -> npt.NDArray[np.uint8]:
    if png.colour == _png.GREY:
        grey = _opened(png.canonical(), "PNG", None if png.depth == 16 else "L")
        if png.depth == 16:
            grey = (grey >> 8).astype(np.uint8)  # the upper eight of 16 bits count
        pixels = np.repeat(grey[..., None], 3, axis=2)
    elif png.colour == _png.PALETTE:
        indices = _opened(png.canonical(), "PNG", None)
        pixels = np.frombuffer((png.palette or b"").ljust(768, b"\x00"), np.uint8).reshape(256, 3)[indices]
    else:
        pixels = _opened(png.canonical(), "PNG", None)
    if png.colour == _png.RGB_ALPHA:
        pixels, opacity = pixels[..., :3], pixels[..., 3]
    elif png.colour == _png.GREY_ALPHA:
        pixels, opacity = np.repeat(pixels[..., :1], 3, axis=2), pixels[..., -1]
    elif png.alphas is not None:
        opacity = np.frombuffer(png.alphas, np.uint8)[indices]
    elif png.key is not None:
        scale = 255 // ((1 << png.depth) - 1)
        opacity = np.where((pixels == np.array(png.key) * scale).all(axis=2), 0, 255)
    else:
        return pixels
    return _laid(pixels, opacity, alpha)


def _laid(
    pixels: npt.NDArray[np.uint8], opacity: npt.NDArray[np.uint8] | None, alpha: Alpha
) -> npt.NDArray[np.uint8]:
    """Blend pixels with the rule's background."""
    if opacity is None or alpha == "drop":
        return pixels
    ground = 255 if alpha == "white" else 0
    share = opacity[..., None].astype(np.uint32)
    return ((pixels * share + ground * (255 - share) + 127) // 255).astype(np.uint8)


def _upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


class _UnknownFormatError(PictureError):
    """The first bytes belong to no supported format."""


def is_picture(start: bytes) -> bool:
    """Whether a file begins like a supported format, even if it is refused later; 32 bytes are enough."""
    try:
        read_header(start)
    except _UnknownFormatError:
        return False
    except PictureError:
        pass
    return True


def media_of(start: bytes) -> str | None:
    """The media type that a file's first bytes claim."""
    for media, begins in (
        ("image/jpeg", start[:3] == b"\xff\xd8\xff"),
        ("image/png", start[:8] == _png.SIGNATURE),
        ("image/gif", start[:6] in _GIF),
        ("image/tiff", start[:4] in _tiff.STARTS),
        ("image/bmp", start[:2] == b"BM"),
        ("image/webp", _webp.starts(start)),
    ):
        if begins:
            return media
    return None


def read_header(data: bytes) -> Header:
    """Read a picture's header, and refuse a picture that no rule covers.

    Raises:
        PictureError: with the reason.
    """
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg_header(_jpeg.parse(data, MAX_PIXELS))
    if data[:8] == _png.SIGNATURE:
        return _png_header(_png.parse(data, MAX_PIXELS))
    if data[:6] in _GIF:
        return _gif_header(_gif.parse(data, MAX_PIXELS))
    if data[:4] in _tiff.STARTS:
        return _tiff_header(_tiff.parse(data, MAX_PIXELS))
    if data[:2] == b"BM":
        return _bmp_header(_bmp.parse(data, MAX_PIXELS))
    if _webp.starts(data):
        return _webp_header(_webp.parse(data, MAX_PIXELS))
    if not data:
        raise _UnknownFormatError("it is empty")
    if name := _other_format(data):
        raise _UnknownFormatError(f"it is {name}, which is not decoded: convert it to PNG or JPEG")
    raise _UnknownFormatError(f"not a {_NAMES}")


def _other_format(data: bytes) -> str:
    for start, name in _OTHERS.items():
        if data.startswith(start):
            return name
    if len(data) < 12 or data[4:8] != b"ftyp":
        return ""
    brands = data[8:64]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return "HEIC" if brands.startswith((b"he", b"mif1", b"msf1")) else "a video"


def _jpeg_header(jpeg: _jpeg.Jpeg) -> Header:
    encoding = ("progressive " if jpeg.progressive else "baseline ") + " ".join(jpeg.sampling)
    if not jpeg.own_tables:
        encoding += ", standard tables"
    orientation = 1 if jpeg.exif is None else exif_orientation(jpeg.exif)
    return Header(JPEG, jpeg.width, jpeg.height, orientation, encoding)


def _png_header(png: _png.Png) -> Header:
    encoding = f"colour type {png.colour}, {png.depth} bit"
    if png.key is not None or png.alphas is not None:
        encoding += ", transparent"
    orientation = 1 if png.exif is None else exif_orientation(png.exif)
    return Header(PNG, png.width, png.height, orientation, encoding)


def _gif_header(gif: _gif.Gif) -> Header:
    encoding = "interlaced" if gif.flags & 0x40 else "GIF"
    return Header(GIF, gif.width, gif.height, 1, encoding + ", transparent" * (gif.transparent is not None))


def _bmp_header(bmp: _bmp.Bmp) -> Header:
    return Header(BMP, bmp.width, bmp.height, 1, f"{bmp.bits} bit")


def _webp_header(webp: _webp.Webp) -> Header:
    encoding = "lossless" if webp.frame.kind == b"VP8L" else "lossy"
    if webp.transparent:
        encoding += ", alpha"
    exif = None if webp.exif is None else webp.exif.removeprefix(b"Exif\x00\x00")
    orientation = 1 if exif is None else exif_orientation(exif)
    return Header(WEBP, webp.width, webp.height, orientation, encoding)


def _tiff_header(tiff: _tiff.Tiff) -> Header:
    encoding = (
        f"photometric {tiff.photometric}, {tiff.samples} samples of {tiff.bits} bit, compression "
        f"{tiff.compression}, predictor {1 + tiff.differences}"
    )
    return Header(TIFF, tiff.width, tiff.height, tiff.orientation, encoding)


def exif_orientation(tiff: bytes) -> int:
    """Find tag 0x0112 in the first directory of a TIFF block.

    Anything but a single SHORT from 1 to 8 counts as upright, 1.
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
