"""WebP: checks the chunks, as predict/pixels/webp does; Pillow unpacks the first frame."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forgo._errors import PictureError

_TRUNCATED = "it is a truncated WebP"
_EXIF, _ANIMATED, _ALPHA = 8, 2, 16


def starts(data: bytes) -> bool:
    """Whether data begins like a WebP."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


@dataclass
class Frame:
    """The picture, or the first of an animation."""

    width: int
    height: int
    kind: bytes
    data: bytes
    alpha: bytes | None
    x: int = 0
    y: int = 0


@dataclass
class Webp:
    """A WebP whose chunks were checked."""

    width: int
    height: int
    """The canvas's size."""
    frame: Frame
    exif: bytes | None

    @property
    def transparent(self) -> bool:
        """Whether the frame has an alpha channel."""
        return self.frame.alpha is not None or (self.frame.kind == b"VP8L" and self.frame.data[4] & 0x10 != 0)

    def canonical(self) -> bytes:
        """Only the frame, with the chunks that hold its pixels."""
        frame = self.frame
        chunks = _chunk(frame.kind, frame.data)
        if frame.alpha is not None:
            size = struct.pack("<II", frame.width - 1, frame.height - 1)
            head = bytes([_ALPHA, 0, 0, 0]) + size[:3] + size[4:7]
            chunks = _chunk(b"VP8X", head) + _chunk(b"ALPH", frame.alpha) + chunks
        return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks

    def pixels(
        self, frame: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Colours [height, width, 3] and, if there is any, opacity [height, width].

        The canvas outside the frame is transparent black.
        """
        colours, opacity = frame[..., :3], frame[..., 3] if frame.shape[2] == 4 else None
        if colours.shape[:2] == (self.height, self.width):
            return colours, opacity
        whole = np.zeros((self.height, self.width, 4), np.uint8)
        part = whole[self.frame.y : self.frame.y + self.frame.height, self.frame.x :][:, : self.frame.width]
        part[..., :3], part[..., 3] = colours, 255 if opacity is None else opacity
        return whole[..., :3], whole[..., 3]


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise PictureError(_TRUNCATED)
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size + (size & 1) > len(data):
            raise PictureError(_TRUNCATED)
        body = data[at + 8 : at + 8 + size]
        at += 8 + size + (size & 1)
        if size & 1 and data[at - 1]:
            raise PictureError(f"its chunk {_named(name)} is padded with {data[at - 1]:02x}")
        yield name, body


def _named(name: bytes) -> str:
    """A chunk's name for messages: anything but a letter, digit or space as its number."""
    return "".join(chr(c) if (chr(c).isalnum() and c < 128) or c == 32 else f"\\x{c:02x}" for c in name)


def parse(data: bytes, max_pixels: int) -> Webp:
    """Check a file.

    Raises:
        PictureError: with the reason.
    """
    size = int.from_bytes(data[4:8], "little")
    if size > len(data) - 8 or size < 4:
        raise PictureError(_TRUNCATED)
    chunks = _chunks(data[12 : 8 + size])
    first = next(chunks, None)
    if first is None:
        raise PictureError("it is a WebP without a picture")
    name, body = first
    if name != b"VP8X":
        frame = _frame(name, body, None)
        _check_size(frame.width, frame.height, max_pixels)
        return Webp(frame.width, frame.height, frame, None)
    if len(body) != 10:
        raise PictureError(f"its header is {len(body)} bytes long")
    flags, width, height = body[0], 1 + _three(body, 4), 1 + _three(body, 7)
    _check_size(width, height, max_pixels)
    picture: Frame | None = None
    alpha: bytes | None = None
    exif: bytes | None = None
    for name, body in chunks:
        if name == b"EXIF" and flags & _EXIF and exif is None:
            exif = body
        elif name == b"ANMF" and flags & _ANIMATED and picture is None:
            picture = _animated(body, width, height)
        elif name == b"ALPH" and not flags & _ANIMATED and picture is None and alpha is None:
            alpha = body
        elif name in (b"VP8 ", b"VP8L") and not flags & _ANIMATED and picture is None:
            picture = _frame(name, body, alpha)
    if picture is None:
        raise PictureError("it is a WebP without a picture")
    if not flags & _ANIMATED:
        _check_same(picture, width, height)
    return Webp(width, height, picture, exif)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureError(f"{width} x {height} pixels are more than {max_pixels}")


def _check_same(frame: Frame, width: int, height: int) -> None:
    if (frame.width, frame.height) != (width, height):
        raise PictureError(
            f"its picture has {frame.width} x {frame.height} pixels, its header gives {width} x {height}"
        )


def _animated(body: bytes, canvas_width: int, canvas_height: int) -> Frame:
    """The first frame of an animation."""
    if len(body) < 16:
        raise PictureError(_TRUNCATED)
    x, y, width, height = 2 * _three(body, 0), 2 * _three(body, 3), 1 + _three(body, 6), 1 + _three(body, 9)
    if x + width > canvas_width or y + height > canvas_height:
        raise PictureError("its first frame reaches beyond its canvas")
    alpha: bytes | None = None
    for name, part in _chunks(body[16:]):
        if name == b"ALPH" and alpha is None:
            alpha = part
        elif name in (b"VP8 ", b"VP8L"):
            frame = _frame(name, part, alpha)
            _check_same(frame, width, height)
            frame.x, frame.y = x, y
            return frame
    raise PictureError("it is a WebP without a picture")


def _frame(name: bytes, body: bytes, alpha: bytes | None) -> Frame:
    """Read the head of the chunk that holds pixels."""
    if name == b"VP8 ":
        if len(body) < 10:
            raise PictureError(_TRUNCATED)
        tag = _three(body, 0)
        if tag & 1 or tag >> 1 & 7 > 3 or not tag >> 4 & 1 or body[3:6] != b"\x9d\x01\x2a":
            raise PictureError("its frame header is damaged")
        width, height = (v & 0x3FFF for v in struct.unpack("<HH", body[6:10]))
        if width == 0 or height == 0:
            raise PictureError(f"its header gives {width} x {height} pixels")
        blocks, modes = -(-width // 16) * -(-height // 16), tag >> 5
        if modes > len(body) - 10 or modes < blocks // 8:
            raise PictureError(f"its modes have {modes} bytes")
        return Frame(width, height, name, body, alpha)
    if name == b"VP8L":
        if len(body) < 5:
            raise PictureError(_TRUNCATED)
        (head,) = struct.unpack("<I", body[1:5])
        if body[0] != 0x2F or head >> 29:
            raise PictureError("its frame header is damaged")
        return Frame(1 + (head & 0x3FFF), 1 + (head >> 14 & 0x3FFF), name, body, None)
    raise PictureError(f"it has a chunk {_named(name)} before its picture, for which no rule is stated")


def _three(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
