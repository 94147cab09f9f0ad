"""Files of formats that no rule covers: both halves refuse them, and name the format."""

from __future__ import annotations

import io
import struct
from typing import Any

from PIL import Image


def unknown(photograph: Image.Image) -> dict[str, bytes]:
    """Files by their names: real ones where Pillow writes the format, else their signatures alone."""
    small = photograph.crop((0, 0, 16, 12))
    made: dict[str, bytes] = {}

    def save(name: str, kind: str, **options: Any) -> None:
        out = io.BytesIO()
        small.save(out, kind, **options)
        made[name] = out.getvalue()

    save("picture.avif", "AVIF", max_threads=1)
    save("picture.jp2", "JPEG2000")
    save("codestream.j2k", "JPEG2000", no_jp2=True)
    save("bigtiff.tif", "TIFF", big_tiff=True)
    save("icon.ico", "ICO", bitmap_format="bmp")
    save("document.pdf", "PDF", creationDate=None, modDate=None)

    made |= {
        "avif-among-brands.avif": _brands(b"mif1", b"miaf", b"avif"),
        "animated.avif": _brands(b"avis", b"avis", b"msf1"),  # Pillow writes the time into it
        "picture.heic": _brands(b"heic", b"mif1", b"heic"),
        "ten-bits.heic": _brands(b"heix", b"mif1", b"heix"),
        "sequence.heic": _brands(b"hevc", b"msf1", b"hevc"),
        "picture.heif": _brands(b"mif1", b"mif1", b"heic"),
        "sequence.heif": _brands(b"msf1", b"msf1", b"hevc"),
        "no-more-than-a-brand.heic": struct.pack(">I", 12) + b"ftypheic",
        "cut-in-brand.heic": struct.pack(">I", 12) + b"ftyphei",
        "video.mp4": _brands(b"isom", b"isom", b"mp41"),
        "picture.jxl": struct.pack(">I", 12) + b"JXL \r\n\x87\n" + _brands(b"jxl ", b"jxl "),
        "codestream.jxl": b"\xff\x0a" + bytes(16),
        "cut-in-signature.jxl": struct.pack(">I", 12) + b"JXL \r\n\x87",
        "bigtiff-big-endian.tif": b"MM\x00\x2b\x00\x08\x00\x00" + bytes(8),
        "document.psd": b"8BPS\x00\x01" + bytes(20),
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "drawing-with-declaration.svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    }
    return made


def _brands(major: bytes, *compatible: bytes) -> bytes:
    """The box that an ISO media file begins with, and an empty one behind it."""
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 4 + len(body)) + body + struct.pack(">I", 8) + b"mdat"
