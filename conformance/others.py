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


def tiffs(photograph: Image.Image) -> dict[str, bytes]:
    """TIFFs by their names."""
    made: dict[str, bytes] = {}
    translucent = photograph.convert("RGBA")
    translucent.putalpha(Image.linear_gradient("L").resize(photograph.size))
    modes = {
        "rgb": photograph,
        "grey": photograph.convert("L"),
        "palette": photograph.quantize(99),
        "alpha": translucent,
    }
    for name, image in modes.items():
        for how, compression in {"plain": None, "deflated": "tiff_adobe_deflate"}.items():
            out = io.BytesIO()
            image.save(out, "TIFF", compression=compression)
            made[f"{name}-{how}.tif"] = out.getvalue()
    saved: dict[str, dict[str, Any]] = {
        "strips": {"strip_size": 700}, "strips-deflated": {"strip_size": 700, "compression": "tiff_deflate"},
        "lzw": {"compression": "tiff_lzw"}, "packbits": {"compression": "packbits"}, "jpeg": {"compression": "jpeg"},
        "differences": {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 2}},
        **{f"orientation-{n}": {"tiffinfo": {274: n}} for n in range(1, 10)},
        "pages": {"save_all": True, "append_images": [photograph.convert("L")]},
        "lzw-strips": {"strip_size": 700, "compression": "tiff_lzw"}, "packbits-strips": {"strip_size": 700, "compression": "packbits"},
        "lzw-differences": {"compression": "tiff_lzw", "tiffinfo": {317: 2}}, "zstd": {"compression": "zstd"}, "lzma": {"compression": "lzma"},
    }  # fmt: skip
    for name, options in saved.items():
        out = io.BytesIO()
        photograph.save(out, "TIFF", **options)
        made[f"{name}.tif"] = out.getvalue()
    for mode in ("1", "CMYK", "I;16"):
        out = io.BytesIO()
        image = photograph.convert("L") if mode == "I;16" else photograph
        image = Image.fromarray(np.asarray(image).astype(np.uint16)) if mode == "I;16" else image
        (image if mode == "I;16" else image.convert(mode)).save(out, "TIFF")
        made[f"mode-{mode.replace(';', '-').lower()}.tif"] = out.getvalue()
    for mode in ("1", "CMYK", "LA", "P"):
        for compression in ("tiff_lzw", "packbits", "group4"):
            if (compression == "group4") != (mode == "1" and compression == "group4"):
                continue
            out = io.BytesIO()
            photograph.convert("L" if mode == "LA" else "RGB").convert(mode).save(
                out, "TIFF", compression=compression
            )
            made[f"mode-{mode.lower()}-{compression.removeprefix('tiff_')}.tif"] = out.getvalue()

    def tiff(
        order: str = "<", pixels: bytes = bytes(range(60)), left: int = 0, **other: tuple[int, ...]
    ) -> bytes:
        tags: dict[str, tuple[int, ...]] = {
            "256": (5,),
            "257": (4,),
            "258": (8, 8, 8),
            "259": (1,),
            "262": (2,),
            "273": (8,),
            "277": (3,),
            "279": (60,),
        }
        tags |= {name.lstrip("t"): values for name, values in other.items()}
        tags = {name: values for name, values in sorted(tags.items()) if values}
        head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", 8 + len(pixels))
        start = 8 + len(pixels) + 2 + 12 * len(tags) + 4
        entries, far = b"", b""
        for name, values in tags.items():
            kind = "I" if max(values) > 65535 else "H"
            packed = struct.pack(f"{order}{len(values)}{kind}", *values)
            entries += struct.pack(order + "HHI", int(name), 4 if kind == "I" else 3, len(values))
            entries += (
                packed.ljust(4, b"\x00") if len(packed) <= 4 else struct.pack(order + "I", start + len(far))
            )
            far += packed if len(packed) > 4 else b""
        whole = head + pixels + struct.pack(order + "H", len(tags)) + entries + bytes(4) + far
        return whole[: len(whole) - left]

    white: dict[str, Any] = {"t258": (8,), "t262": (0,), "t277": (1,), "t279": (20,)}
    made |= {
        "little.tif": tiff(), "big.tif": tiff(">"), "white-is-0.tif": tiff(**white | {"pixels": bytes(range(20))}), "cut.tif": tiff(left=3), "header-alone.tif": b"MM\x00*\x00\x00",
        "no-width.tif": tiff(t256=()), "no-strips.tif": tiff(t273=()), "two-strips.tif": tiff(t278=(2,), t273=(8, 38), t279=(30, 30)),
        "strips-alike.tif": tiff(t278=(2,), t273=(8, 8), t279=(30, 30)), "no-rows.tif": tiff(t278=(0,)), "rows-unbounded.tif": tiff(t278=(2**32 - 1,)),
        "short-strip.tif": tiff(t279=(59,)), "far-strip.tif": tiff(t273=(1 << 20,)), "planes.tif": tiff(t284=(2,)), "tiles.tif": tiff(t322=(16,)),
        "predictor-plain.tif": tiff(t317=(2,)), "predictor-3.tif": tiff(t317=(3,), t259=(8,)), "floating.tif": tiff(t339=(3, 3, 3)), "extra.tif": tiff(t338=(0,)),
        "sixteen.tif": tiff(t258=(16, 16, 16)), "mixed-bits.tif": tiff(t258=(8, 8, 4)), "bits-of-one.tif": tiff(t258=(8,)), "no-samples.tif": tiff(t277=(0,), t258=()),
        **{f"grey-{bits}-bit.tif": tiff(pixels=bytes(range(7, 120, 9))[: 4 * -(-5 * bits // 8)], t258=(bits,), t262=(1,), t277=(), t279=(4 * -(-5 * bits // 8),)) for bits in (1, 2, 4)},
        **{f"white-is-0-{bits}-bit.tif": tiff(pixels=bytes(range(7, 120, 9))[: 4 * -(-5 * bits // 8)], t258=(bits,), t262=(0,), t277=(), t279=(4 * -(-5 * bits // 8),)) for bits in (1, 2, 4)},
        **{f"palette-{bits}-bit.tif": tiff(pixels=bytes(range(7, 120, 9))[: 4 * -(-5 * bits // 8)], t258=(bits,), t262=(3,), t277=(), t279=(4 * -(-5 * bits // 8),), t320=tuple(range(300, 300 + 1000 * (3 << bits), 1000))) for bits in (1, 2, 4)},
        "fill-order-2.tif": tiff(t266=(2,)), "long-strip.tif": tiff(pixels=bytes(range(70)), t279=(70,)), "tile-of-nothing.tif": tiff(t322=(0,), t323=(16,)),
        "tiles-huge.tif": tiff(t322=(65535,), t323=(65535,)), "tiles-missing.tif": tiff(t322=(16,), t323=(16,)), "planes-3.tif": tiff(t284=(3,)), "no-bits.tif": tiff(t258=(), t262=(1,), t277=(), t279=(4,), pixels=bytes([0xA8, 0x50, 0xF8, 0])),
        "lzw-old.tif": tiff(pixels=b"\x00\x01" + bytes(20), t259=(5,), t279=(22,)), "lzw-no-clear.tif": tiff(pixels=b"\x10" * 22, t259=(5,), t279=(22,)), "lzw-short.tif": tiff(pixels=b"\x80\x00\x01\x01", t259=(5,), t279=(4,)),
        "packbits-nothing.tif": tiff(pixels=b"\x80\x80\xc5\x07\x80", t259=(32773,), t279=(5,)), "packbits-long.tif": tiff(pixels=b"\xc4\x07", t259=(32773,), t279=(2,)), "packbits-short.tif": tiff(pixels=b"\xc6\x07", t259=(32773,), t279=(2,)),
        "alpha-unsaid.tif": tiff(pixels=bytes(range(80)), t258=(8,) * 4, t277=(4,), t279=(80,)), "two-extras.tif": tiff(pixels=bytes(range(100)), t258=(8,) * 5, t277=(5,), t279=(100,), t338=(2, 0)),
        "fax.tif": tiff(t259=(4,)), "old-jpeg.tif": tiff(t259=(6,)), "ycbcr.tif": tiff(t262=(6,)), "lab.tif": tiff(t262=(8,)), "signed.tif": tiff(t339=(2, 2, 2)), "huge.tif": tiff(t256=(1 << 20,), t257=(1 << 20,)), "damaged.tif": tiff(t259=(8,)), "odd-orientation.tif": tiff(t274=(6, 6)), "palette-short.tif": tiff(**white | {"t262": (3,), "t320": (1, 2, 3)}),
    }  # fmt: skip
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
        entries: int | None = None, start: int = 0, cut: int = 0, width: int = 7, rows: bytes | None = None,
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
        pixels = pixels if rows is None else rows
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
    eight = b"\x05\x09\x02\x03\x00\x00" + b"\x00\x03\x01\x02\x03\x00\x00\x04\x07\x08\x09\x0a\x00\x00"
    four = b"\x07\x3c\x00\x00\x00\x05\x12\x34\x50\x00\x02\xab\x00\x00\x00\x07\x12\x34\x56\x70\x00\x00"
    coded = {
        "whole": eight + b"\x07\x01\x00\x00\x07\x02\x00\x00\x07\x03\x00\x01", "short": eight + b"\x03\x04\x00\x01",
        "rows-left-out": b"\x07\x01\x00\x00\x00\x00\x07\x02\x00\x01", "jump": b"\x02\x09\x00\x02\x03\x02\x02\x0a\x00\x01",
        "beyond-the-row": b"\x08\x01\x00\x01", "beyond-the-picture": b"\x00\x00" * 5 + b"\x01\x01\x00\x01", "jump-beyond": b"\x00\x02\x09\x00\x01\x01\x00\x01",
        "no-end": eight, "cut": eight[:-3], "literal-beyond": b"\x00\x08" + bytes(8) + b"\x00\x01", "empty": b"", "end-alone": b"\x00\x01", "more": b"\x07\x01\x00\x01more",
        "cut-jump": b"\x00\x02\x01",
    }  # fmt: skip
    made |= {f"runs-8-{name}.bmp": bmp(8, compression=1, rows=rows) for name, rows in coded.items()}
    made |= {
        "runs-4-whole.bmp": bmp(4, compression=2, rows=four + b"\x07\x12\x00\x00\x07\x34\x00\x01"), "runs-4-short.bmp": bmp(4, compression=2, rows=four + b"\x00\x01"),
        "runs-4-cut.bmp": bmp(4, compression=2, rows=four[:-3]), "runs-4-beyond.bmp": bmp(4, compression=2, rows=b"\x08\x12\x00\x01"),
        "runs-top-down.bmp": bmp(8, compression=1, height=-5, rows=b"\x00\x01"), "runs-4-of-8-bits.bmp": bmp(8, compression=2, rows=b"\x00\x01"),
        "runs-few-colours.bmp": bmp(8, compression=1, colours=4, entries=4, rows=eight + b"\x00\x01"), "runs-far-away.bmp": bmp(8, compression=1, start=1 << 20, rows=b"\x00\x01"),
    }  # fmt: skip
    return made
