"""PNG files: each colour type and depth, and broken ones."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk, with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode(
    width: int,
    height: int,
    depth: int,
    colour: int,
    rows: bytes,
    chunks: list[tuple[bytes, bytes]] | None = None,
    interlaced: bool = False,
    header: bytes = b"",
    parts: int = 1,
) -> bytes:
    """A PNG file of filtered rows, its pixel data in that many IDAT chunks."""
    start = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced) + header
    packed = zlib.compress(rows)
    size = -(-len(packed) // parts)
    body = [(b"IDAT", packed[at : at + size]) for at in range(0, len(packed), size)]
    every = [(b"IHDR", start), *(chunks or []), *body, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in every)


def pngs(photograph: Image.Image) -> dict[str, bytes]:
    """Every colour type and depth, interlaced or not, and what is amiss in others' files."""
    generator = np.random.default_rng(5)
    made: dict[str, bytes] = {}
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        for depth in depths:
            for interlaced in (False, True):
                width, height = (13, 11) if interlaced else (9, 7)
                lines = []
                for x, y, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
                    size = (-(-(width - x) // across) * samples * depth + 7) // 8
                    for number in range(-(-(height - y) // down)):
                        lines.append(
                            bytes([number % 5]) + generator.integers(0, 256, size, np.uint8).tobytes()
                        )
                colours = [
                    (b"PLTE", generator.integers(0, 256, 3 * min(200, 1 << depth), np.uint8).tobytes())
                ]
                name = f"type-{colour}-{depth}-bit{'-interlaced' if interlaced else ''}"
                body = b"".join(lines)
                own = colours if colour == 3 else []
                made[f"{name}.png"] = encode(width, height, depth, colour, body, own, interlaced)
                if colour in (0, 2):
                    key = (b"tRNS", struct.pack(f">{samples}H", *[min(200, (1 << depth) - 1)] * samples))
                    made[f"{name}-key.png"] = encode(width, height, depth, colour, body, [key], interlaced)
                if colour == 3:
                    alphas = [
                        *colours,
                        (b"tRNS", generator.integers(0, 256, 1 << (depth - 1), np.uint8).tobytes()),
                    ]
                    made[f"{name}-alphas.png"] = encode(
                        width, height, depth, colour, body, alphas, interlaced
                    )
    translucent = photograph.convert("RGBA")
    translucent.putalpha(Image.linear_gradient("L").resize(photograph.size))
    out = io.BytesIO()
    translucent.save(out, "PNG")
    made["translucent.png"] = out.getvalue()

    rows = b"".join(bytes([n % 5]) + generator.integers(0, 256, 12, np.uint8).tobytes() for n in range(4))
    palette = (b"PLTE", bytes(range(9)))
    amiss: dict[str, list[tuple[bytes, bytes]]] = {
        "palette-in-colour": [palette], "empty-phys": [(b"pHYs", b"")], "empty-gama": [(b"gAMA", b"")],
        "empty-srgb": [(b"sRGB", b"")], "empty-chrm": [(b"cHRM", b"")], "iccp-without-nul": [(b"iCCP", b"name")],
        "ztxt-method-1": [(b"zTXt", b"key\x00\x01text")], "unknown-critical": [(b"ABCD", b"")],
        "text-bomb": [(b"zTXt", b"key\x00\x00" + zlib.compress(bytes(4 << 20)))],
        "two-headers": [(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))], "two-keys": [(b"tRNS", bytes(6)), (b"tRNS", b"x")],
        "short-key": [(b"tRNS", b"x")],
    }  # fmt: skip
    for name, chunks in amiss.items():
        made[f"{name}.png"] = encode(4, 4, 8, 2, rows, chunks)
    whole = encode(4, 4, 8, 2, rows)
    for cut in (1, 4, 8, 12, 13, 22):
        made[f"without-last-{cut}.png"] = whole[:-cut]
    made["after-the-end.png"] = whole + b"something else"
    made["checksum-of-end.png"] = whole[:-1] + b"x"
    made["checksum-of-pixels.png"] = whole[:-13] + b"x" + whole[-12:]
    made["key-after-pixels.png"] = whole[:-12] + chunk(b"tRNS", bytes(6)) + whole[-12:]
    made["too-many-pixels.png"] = encode(4, 4, 8, 2, rows + b"x")
    made["too-few-pixels.png"] = encode(4, 4, 8, 2, rows[:-1])
    made["filter-5.png"] = encode(4, 4, 8, 2, b"\x05" + rows[1:])
    made["long-header.png"] = encode(4, 4, 8, 2, rows, header=bytes(1))
    made["compression-1.png"] = (
        whole[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 1, 0, 0)) + whole[33:]
    )
    made["palette-in-grey.png"] = encode(2, 1, 8, 0, b"\x00ab", [palette])
    made["palette-missing.png"] = encode(2, 1, 8, 3, b"\x00\x00\x01")
    made["palette-too-long.png"] = encode(2, 1, 8, 3, b"\x00\x00\x01", [(b"PLTE", bytes(771))])
    made["palette-longer-than-depth.png"] = encode(2, 1, 1, 3, b"\x00\x80", [(b"PLTE", bytes(range(48)))])
    made["palette-twice.png"] = encode(2, 1, 8, 3, b"\x00\x00\x01", [palette, palette])
    made["past-the-palette.png"] = encode(2, 1, 8, 3, b"\x00\x02\x03", [palette])
    split = encode(4, 4, 8, 2, rows, [], parts=3)
    made["three-data-chunks.png"] = split
    at = split.index(b"IDAT", split.index(b"IDAT") + 1) - 4
    made["data-in-two-places.png"] = split[:at] + chunk(b"tEXt", b"a\x00b") + split[at:]
    made["after-the-stream.png"] = whole[:33] + chunk(b"IDAT", zlib.compress(rows) + b"more") + whole[-12:]
    return made


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def packed_rows(values: Any, bits: int) -> bytes:
    """Unfiltered rows of values of a few bits each."""
    rows = []
    for row in values:
        padded = np.concatenate([row, np.zeros(-len(row) % (8 // bits), np.uint8)]).reshape(-1, 8 // bits)
        packed = np.zeros(len(padded), np.uint8)
        for i in range(8 // bits):
            packed |= padded[:, i] << (8 - bits * (i + 1))
        rows.append(b"\x00" + packed.tobytes())
    return b"".join(rows)
