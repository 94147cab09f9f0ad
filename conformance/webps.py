"""WebPs: every kind that has a rule, and what is amiss in others' files."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from PIL import Image


def _chunk(name: bytes, body: bytes, pad: bytes = b"\x00") -> bytes:
    return name + struct.pack("<I", len(body)) + body + pad * (len(body) & 1)


def _riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def _header(width: int, height: int, flags: int) -> bytes:
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size)


def _frame(x: int, y: int, width: int, height: int, *chunks: bytes) -> bytes:
    numbers = b"".join(struct.pack("<I", n)[:3] for n in (x // 2, y // 2, width - 1, height - 1, 50))
    return _chunk(b"ANMF", numbers + b"\x00" + b"".join(chunks))


class _Bits:
    """Bits from the lowest up."""

    def __init__(self) -> None:
        self.value, self.count = 0, 0

    def put(self, value: int, count: int) -> None:
        self.value |= value << self.count
        self.count += count

    def done(self) -> bytes:
        return self.value.to_bytes((self.count + 7) // 8, "little")


def _codes(lengths: list[int]) -> list[tuple[int, int]]:
    """Each symbol's code, its first bit lowest, and its length."""
    made, code = [(0, 0)] * len(lengths), 0
    for length in range(1, max(lengths) + 1):
        code <<= 1
        for symbol in (s for s, n in enumerate(lengths) if n == length):
            made[symbol] = (int(f"{code:0{length}b}"[::-1], 2), length)
            code += 1
    return made


_SMALL_CODE = [1, 2, 3, 4, 5, 6, 7, 8, 8]
"""Lengths of the code whose table of 256 entries takes the fewest bytes of a file."""


def _put_lengths(bits: _Bits, lengths: list[int]) -> None:
    """A code, by each symbol's length from 1 to 8 in three bits; lengths that follow are 0."""
    order = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8)
    bits.put(0, 1)
    bits.put(len(order) - 4, 4)
    for symbol in order:
        bits.put(3 * (1 <= symbol <= 8), 3)
    bits.put(1, 1)  # the number of lengths, in eight bits
    bits.put(3, 3)
    bits.put(len(lengths) - 2, 8)
    for length in lengths:
        bits.put(int(f"{length - 1:03b}"[::-1], 2), 3)


def _codes_of_their_own(columns: int = 20, rows: int = 20) -> bytes:
    """A lossless picture of tiles of 4 x 4 pixels, each with codes of its own: a byte of them becomes a hundred of tables."""
    chance = np.random.default_rng(17)
    bits = _Bits()
    for value, count in ((0x2F, 8), (4 * columns - 1, 14), (4 * rows - 1, 14), (0, 4)):
        bits.put(value, count)
    bits.put(0, 2)  # no transform, no cache
    bits.put(1, 1)  # each tile's codes, numbered by red and green
    bits.put(0, 4)  # tiles of 4 x 4; their picture has no cache
    _put_lengths(bits, [8] * 256)
    bits.put(0b0011, 4)  # red: 0 or 1
    bits.put(1, 8)
    for _ in range(3):
        bits.put(0b0001, 4)
    for tile in range(columns * rows):
        bits.put(int(f"{tile & 255:08b}"[::-1], 2), 8)
        bits.put(tile >> 8, 1)
    numbers = np.stack([chance.permutation(9) for _ in range(4 * columns * rows)]).reshape(
        rows, columns, 4, 9
    )
    tables = [[[_codes([_SMALL_CODE[n] for n in of]) for of in tile] for tile in row] for row in numbers]
    for row in numbers:
        for tile in row:
            for of in tile:
                _put_lengths(bits, [_SMALL_CODE[n] for n in of])
            bits.put(0b0001, 4)  # distances: always the same
    for y in range(4 * rows):
        for x in range(4 * columns):
            for codes, of in zip(tables[y // 4][x // 4], numbers[y // 4, x // 4], strict=True):
                symbol = chance.integers(9) if chance.random() < 0.05 else int(np.argmin(of))
                bits.put(*codes[symbol])
    return _riff(_chunk(b"VP8L", bits.done()))


def webps(photograph: Image.Image) -> dict[str, bytes]:
    """WebPs by their names."""
    made: dict[str, bytes] = {}

    def save(name: str, image: Image.Image, **options: Any) -> bytes:
        out = io.BytesIO()
        image.save(out, "WEBP", **options)
        made[f"{name}.webp"] = out.getvalue()
        return out.getvalue()

    translucent = photograph.convert("RGBA")
    translucent.putalpha(Image.linear_gradient("L").resize(photograph.size))
    for quality in (0, 10, 50, 75, 95, 100):
        save(f"lossy-{quality}", photograph, quality=quality, method=4)
    for width, height in ((1, 1), (1, 9), (2, 2), (3, 17), (16, 16), (17, 1), (31, 33), (32, 32), (48, 5)):
        save(f"lossy-{width}-{height}", photograph.crop((0, 0, width, height)))
        save(f"lossless-{width}-{height}", photograph.crop((0, 0, width, height)), lossless=True)
    save("lossy-grey", photograph.convert("L"))
    save("lossy-alpha", translucent, quality=60)
    save("lossy-few-alphas", translucent, quality=60, alpha_quality=20)
    hard = photograph.convert("RGBA")
    hard.putalpha(photograph.convert("L").point(lambda v: 255 * (v > 128)).convert("L"))
    save("lossy-hard-alpha", hard)
    save("lossless", photograph, lossless=True)
    save("lossless-alpha", translucent, lossless=True, exact=True)
    for colours in (2, 3, 16, 17, 200):
        few = photograph.quantize(colours).convert("RGB")
        save(f"lossless-{colours}-colours", few, lossless=True)
    noise = np.random.default_rng(7).integers(0, 256, (40, 50, 4), np.uint8)
    save("lossless-noise", Image.fromarray(noise), lossless=True, exact=True)
    tiled = np.tile(noise[:8, :8, :3], (6, 7, 1))
    save("lossless-tiles", Image.fromarray(tiled), lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    save("exif-6", photograph, exif=exif)
    save(
        "exif-8-lossless",
        photograph,
        lossless=True,
        exif=b"Exif\x00\x00" + exif.tobytes().removeprefix(b"Exif\x00\x00"),
    )
    save("profile", photograph, icc_profile=b"no profile at all")
    turned = photograph.transpose(Image.Transpose.ROTATE_180)
    save("animated", photograph, save_all=True, append_images=[turned], duration=50)
    save(
        "animated-alpha",
        translucent,
        save_all=True,
        append_images=[turned],
        duration=50,
        lossless=True,
        exact=True,
    )

    small = photograph.crop((0, 0, 9, 7))
    lossy, lossless = save("small", small), save("small-lossless", small, lossless=True)
    clear = save("small-alpha", translucent.crop((0, 20, 9, 27)))
    vp8, vp8l = lossy[12:], lossless[12:]
    alpha = clear[30 : clear.index(b"VP8 ")]
    beside = clear[clear.index(b"VP8 ") :]
    head = _header(9, 7, 0)
    body = vp8[8 : 8 + int.from_bytes(vp8[4:8], "little")]

    def changed(at: int, value: int) -> bytes:
        return _riff(_chunk(b"VP8 ", body[:at] + bytes([value]) + body[at + 1 :]))

    plain = bytes(range(63))
    made |= {
        "after-the-end.webp": lossy + b"after the end",
        "after-the-picture.webp": _riff(vp8, _chunk(b"EXIF", b"anything")),
        "extended.webp": _riff(head, vp8), "extended-lossless.webp": _riff(head, vp8l),
        "unknown-chunks.webp": _riff(head, _chunk(b"ABCD", b"12345"), vp8, _chunk(b"XMP ", b"x")),
        "alpha-before.webp": _riff(_header(9, 7, 16), alpha, beside), "alpha-unflagged.webp": _riff(head, alpha, beside),
        "alpha-flagged-without.webp": _riff(_header(9, 7, 16), vp8), "alpha-behind.webp": _riff(_header(9, 7, 16), beside, alpha),
        "alpha-twice.webp": _riff(_header(9, 7, 16), alpha, _chunk(b"ALPH", b"\x00" + plain), beside),
        "alpha-before-lossless.webp": _riff(_header(9, 7, 16), alpha, vp8l),
        **{f"alpha-plain-{n}.webp": _riff(_header(9, 7, 16), _chunk(b"ALPH", bytes([n << 2]) + plain), beside) for n in range(4)},
        "alpha-short.webp": _riff(_header(9, 7, 16), _chunk(b"ALPH", b"\x00" + plain[:-1]), beside),
        "alpha-empty.webp": _riff(_header(9, 7, 16), _chunk(b"ALPH", b"\x00"), beside),
        "alpha-method-2.webp": _riff(_header(9, 7, 16), _chunk(b"ALPH", b"\x02" + plain), beside),
        "alpha-reserved.webp": _riff(_header(9, 7, 16), _chunk(b"ALPH", b"\x40" + plain), beside),
        "exif-unflagged.webp": _riff(head, vp8, _chunk(b"EXIF", exif.tobytes())),
        "exif-twice.webp": _riff(_header(9, 7, 8), vp8, _chunk(b"EXIF", exif.tobytes()), _chunk(b"EXIF", b"II*\x00")),
        "exif-before.webp": _riff(_header(9, 7, 8), _chunk(b"EXIF", exif.tobytes()), vp8),
        "offset-frame.webp": _riff(_header(20, 15, 2), _chunk(b"ANIM", bytes(6)), _frame(4, 6, 9, 7, vp8), _frame(0, 0, 9, 7, vp8l)),
        "offset-frame-alpha.webp": _riff(_header(20, 15, 18), _chunk(b"ANIM", bytes(6)), _frame(2, 2, 9, 7, alpha, beside)),
        "frame-beyond.webp": _riff(_header(12, 15, 2), _chunk(b"ANIM", bytes(6)), _frame(4, 6, 9, 7, vp8)),
        "frame-of-another-size.webp": _riff(_header(20, 15, 2), _chunk(b"ANIM", bytes(6)), _frame(0, 0, 8, 7, vp8)),
        "frame-empty.webp": _riff(_header(20, 15, 2), _frame(0, 0, 9, 7)), "frame-short.webp": _riff(_header(20, 15, 2), _chunk(b"ANMF", bytes(9))),
        "canvas-of-another-size.webp": _riff(_header(9, 8, 0), vp8), "no-picture.webp": _riff(head), "no-chunks.webp": _riff(),
        "header-of-11.webp": _riff(_chunk(b"VP8X", bytes(11)), vp8), "canvas-huge.webp": _riff(_header(16384, 16384, 0), vp8),
        "other-first.webp": _riff(_chunk(b"AB\x00\xff", b""), vp8), "padded.webp": _riff(head, _chunk(b"ABCD", b"123", b"\x01"), vp8),
        "riff-short.webp": _riff(vp8, size=20), "riff-long.webp": _riff(vp8, size=len(vp8) + 10), "riff-empty.webp": _riff(vp8, size=2),
        "cut.webp": lossy[:-6], "cut-in-header.webp": lossy[:27], "cut-lossless.webp": lossless[:-9], "start-alone.webp": lossy[:12],
        "cut-inside.webp": _riff(_chunk(b"VP8 ", body[:-8])), "cut-inside-lossless.webp": _riff(_chunk(b"VP8L", vp8l[8:-9])),
        "not-a-key.webp": changed(0, body[0] | 1), "not-shown.webp": changed(0, body[0] & ~16), "profile-4.webp": changed(0, body[0] | 8),
        "profile-3.webp": changed(0, body[0] | 6), "sync-code.webp": changed(4, 2), "no-width.webp": changed(6, 0), "scaled.webp": changed(7, 0x40),
        "wide.webp": changed(7, 0x3F), "modes-beyond.webp": changed(2, 0xFF), "modes-short.webp": changed(0, body[0] & 31),
        "lossless-version-1.webp": _riff(_chunk(b"VP8L", vp8l[8:12] + bytes([vp8l[12] | 32]) + vp8l[13:])),
        "lossless-short.webp": _riff(_chunk(b"VP8L", b"\x2f\x00\x00\x00")), "lossless-signature.webp": _riff(_chunk(b"VP8L", b"\x2e" + vp8l[9:])),
    }  # fmt: skip
    made["codes-of-their-own.webp"] = _codes_of_their_own()
    return made
