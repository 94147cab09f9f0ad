"""GIFs and BMPs: every kind that has a rule, and what is amiss in others' files."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from PIL import Image


def gifs(photograph: Image.Image) -> dict[str, bytes]:
    """GIFs by their names."""
    made: dict[str, bytes] = {}

    def save(name: str, image: Image.Image, **options: Any) -> bytes:
        out = io.BytesIO()
        image.save(out, "GIF", **options)
        made[f"{name}.gif"] = out.getvalue()
        return out.getvalue()

    save("picture", photograph)
    save("grey", photograph.convert("L"))
    save("two-colours", photograph.convert("1"))
    for colours in (3, 8, 16, 200):
        save(f"palette-{colours}", photograph.quantize(colours), interlace=False)
    save("interlaced", photograph.quantize(64), interlace=True)
    for height in range(1, 10):
        save(f"interlaced-{height}", photograph.quantize(8).crop((0, 0, 5, height)), interlace=True)
    save("transparent", photograph.quantize(8), transparency=3)
    turned = photograph.transpose(Image.Transpose.ROTATE_180)
    save("animated", photograph, save_all=True, append_images=[turned, photograph.convert("L")], duration=50)
    noise = Image.fromarray(np.random.default_rng(4).integers(0, 256, (90, 90), np.uint8))
    save("noise", noise)  # which fills the table of codes

    small = save("small", photograph.quantize(8).crop((0, 0, 7, 5)), interlace=False)
    screen, palette, rest = small[:13], small[13 : small.index(b",")], small[small.index(b",") :]
    frame, data = rest[:10], rest[10:]
    control = b"!\xf9\x04\x01\x00\x00\x02\x00"
    inside = screen[:6] + struct.pack("<HH", 11, 12) + screen[10:]
    moved = b"," + struct.pack("<HHHH", 2, 3, 7, 5) + b"\x00"
    made |= {
        "offset.gif": inside + palette + moved + data,
        "offset-transparent.gif": inside + palette + control + moved + data,
        "beyond-the-screen.gif": screen + palette + moved + data,
        "own-palette.gif": screen + palette + frame[:9] + b"\x82" + bytes(range(24)) + data,
        "no-palette.gif": screen[:10] + b"\x00" + screen[11:] + frame + data,
        "short-palette.gif": screen[:10] + b"\x80" + screen[11:] + palette[:6] + frame + data,
        "comment.gif": screen + palette + b"!\xfe\x05hello\x00" + frame + data,
        "two-controls.gif": screen + palette + control + b"!\xf9\x04\x00\x00\x00\x05\x00" + frame + data,
        "short-control.gif": screen + palette + b"!\xf9\x02\x01\x00\x00" + frame + data,
        "stray.gif": screen + palette + b"\x00" + frame + data,
        "no-frame.gif": screen + palette + b";",
        "empty-frame.gif": screen + palette + b"," + bytes(9) + data,
        "codes-of-9-bits.gif": screen + palette + frame + b"\x09" + data[1:],
        "codes-of-1-bit.gif": screen + palette + frame + b"\x01" + data[1:],
        "bad-code.gif": screen + palette + frame + data[:1] + b"\x04\xff\xff\xff\xff\x00;",
        "few-codes.gif": screen + palette + frame + data[:1] + b"\x03" + data[2:5] + b"\x00;",
        "more-codes.gif": screen + palette + frame + data[:-2] + b"\x03abc\x00;",
        "no-end.gif": small[:-1],
        "cut-off.gif": small[:-2],
        "cut.gif": small[: len(small) // 2],
        "cut-in-palette.gif": small[:20],
        "header-alone.gif": small[:8],
        "huge.gif": screen[:6] + b"\xff\xff\xff\xff" + screen[10:] + palette + frame + data,
    }
    return made


def bmps(photograph: Image.Image) -> dict[str, bytes]:
    """BMPs by their names."""
    made: dict[str, bytes] = {}
    for name, mode in {
        "rgb": "RGB",
        "grey": "L",
        "two-colours": "1",
        "palette": "P",
        "alpha": "RGBA",
    }.items():
        out = io.BytesIO()
        photograph.convert(mode).save(out, "BMP")
        made[f"{name}.bmp"] = out.getvalue()
    generator = np.random.default_rng(6)

    def bmp(
        bits: int, height: int = 5, compression: int = 0, size: int = 40, colours: int = 0, after: bytes = b"",
        entries: int | None = None, start: int = 0, cut: int = 0, width: int = 7,
    ) -> bytes:  # fmt: skip
        entries = (1 << bits if bits <= 8 else 0) if entries is None else entries
        head = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, 0, 0, 0, colours, 0)
        if size == 12:
            head = struct.pack("<IHHHH", size, width, height, 1, bits)
        entry = 3 if size == 12 else 4
        body = head + after + generator.integers(0, 256, entry * entries, np.uint8).tobytes()
        pixels = generator.integers(
            0, 256, abs(height) * ((abs(width) * bits + 31) // 32 * 4), np.uint8
        ).tobytes()
        offset = 14 + len(body) if start == 0 else start
        return (b"BM" + struct.pack("<IHHI", 0, 0, 0, offset) + body + pixels)[: -cut or None]

    for bits in (1, 4, 8, 16, 24, 32):
        made[f"{bits}-bit.bmp"] = bmp(bits)
        made[f"{bits}-bit-top-down.bmp"] = bmp(bits, height=-5)
        made[f"{bits}-bit-v5.bmp"] = bmp(bits, size=124, after=bytes(84))
    for bits in (1, 4, 8, 24):
        made[f"{bits}-bit-core.bmp"] = bmp(bits, size=12)
    masks = {
        "565": (16, 0xF800, 0x7E0, 0x1F, 0), "555": (16, 0x7C00, 0x3E0, 0x1F, 0), "444": (16, 0xF00, 0xF0, 0xF, 0),
        "bgrx": (32, 0xFF0000, 0xFF00, 0xFF, 0), "xbgr": (32, 0xFF000000, 0xFF0000, 0xFF00, 0),
        "abgr": (32, 0xFF000000, 0xFF0000, 0xFF00, 0xFF), "rgba": (32, 0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        "bgra": (32, 0xFF0000, 0xFF00, 0xFF, 0xFF000000), "ten-bits": (32, 0x3FF00000, 0xFFC00, 0x3FF, 0), "none": (32, 0, 0, 0, 0),
    }  # fmt: skip
    for name, (bits, *mask) in masks.items():
        made[f"masks-{name}.bmp"] = bmp(
            bits, compression=3, size=124, after=struct.pack("<IIII", *mask) + bytes(68)
        )
        made[f"masks-{name}-behind.bmp"] = bmp(bits, compression=3, after=struct.pack("<III", *mask[:3]))
    made |= {
        "few-colours.bmp": bmp(8, colours=20, entries=20), "many-colours.bmp": bmp(8, colours=300, entries=300),
        "colours-missing.bmp": bmp(8, entries=3, cut=40), "rle.bmp": bmp(8, compression=1), "two-bits.bmp": bmp(2, entries=4),
        "header-of-20.bmp": bmp(24, size=20), "cut.bmp": bmp(24, cut=1), "cut-in-header.bmp": bmp(24)[:40], "start-alone.bmp": b"BM12",
        "pixels-in-header.bmp": bmp(24, start=50), "pixels-far-away.bmp": bmp(24, start=1 << 30), "huge.bmp": bmp(1, cut=20)[:18] + b"\xff\xff\x00\x00\xff\xff\x00\x00" + bmp(1)[26:],
        "empty.bmp": bmp(24, height=0), "narrow.bmp": bmp(24, width=-7), "more.bmp": bmp(24) + b"more",
        "lowest.bmp": bmp(24)[:22] + b"\x00\x00\x00\x80" + bmp(24)[26:],
    }  # fmt: skip
    return made
