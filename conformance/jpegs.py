"""JPEGs that Pillow does not write: every sampling, scans of their own, odd colours, damage.

Coefficients are random; what matters is that Python and Go make the same pixels of them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Scan = tuple[list[int], int, int, int, int]
"""Components, first and last coefficient, bits before and after: Ss, Se, Ah, Al."""

_NATURAL = np.array(
    sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
)


@dataclass(frozen=True)
class Picture:
    """What is written, and how."""

    width: int
    height: int
    sampling: list[tuple[int, int]]
    names: list[int] = field(default_factory=lambda: [1, 2, 3, 4])
    scans: list[Scan] | None = None
    """None: one sequential scan of all components."""
    progressive: bool = False
    restart: int = 0
    jfif: bool = False
    adobe: int | None = None
    quantizers: int = 9
    wide: bool = False
    """Quantizers of 16 bits."""
    amplitude: int = 20
    first_row: bool = False
    """Coefficients in blocks' first rows alone."""
    seed: int = 0


class _Bits:
    def __init__(self) -> None:
        self.value, self.count = 0, 0

    def put(self, value: int, count: int) -> None:
        self.value = self.value << count | value & ((1 << count) - 1)
        self.count += count

    def done(self) -> bytes:
        fill = -self.count % 8
        self.put((1 << fill) - 1, fill)
        return self.value.to_bytes(self.count // 8, "big").replace(b"\xff", b"\xff\x00")


def segment(marker: int, body: bytes) -> bytes:
    """A marker with its length."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


# Flat codes for all symbols: 15 of 4 bits and one of 5 for DC; 254 of 8 bits and two of 9 for AC.
TABLES = segment(0xC4, bytes([0, 0, 0, 0, 15, 1, *[0] * 11, *range(16)])) + segment(
    0xC4, bytes([0x10, *[0] * 7, 254, 2, *[0] * 7, *range(256)])
)


def _symbol(bits: _Bits, symbol: int, dc: bool) -> None:
    if dc:
        bits.put(symbol if symbol < 15 else 30, 4 if symbol < 15 else 5)
    else:
        bits.put(symbol if symbol < 254 else 508 + symbol - 254, 8 if symbol < 254 else 9)


def _value(bits: _Bits, value: int, size: int) -> None:
    bits.put(value if value >= 0 else value + (1 << size) - 1, size)


def _size(value: int) -> int:
    return abs(value).bit_length()


def _blocks(p: Picture) -> list[npt.NDArray[np.int64]]:
    """Coefficients of each component in zigzag order, blocks padded to whole units."""
    generator = np.random.default_rng(p.seed)
    widest, tallest = max(h for h, _ in p.sampling), max(v for _, v in p.sampling)
    made = []
    for h, v in p.sampling:
        across, down = -(-p.width // (8 * widest)) * h, -(-p.height // (8 * tallest)) * v
        c = generator.normal(0, p.amplitude, (down, across, 64)) / (1 + np.arange(64)) ** 0.7
        c[generator.random(c.shape) < 0.6] = 0
        c[..., 0] = generator.normal(0, 3 * p.amplitude, (down, across))
        if p.first_row:
            c[..., _NATURAL >= 8] = 0
        made.append(np.clip(np.rint(c), -1023, 1023).astype(np.int64))
    return made


def _scan(p: Picture, blocks: list[npt.NDArray[np.int64]], scan: Scan) -> bytes:
    components, start, end, high, low = scan
    widest, tallest = max(h for h, _ in p.sampling), max(v for _, v in p.sampling)
    units = []
    if len(components) == 1:
        (c,) = components
        h, v = p.sampling[c]
        across, down = -(-p.width * h // (8 * widest)), -(-p.height * v // (8 * tallest))
        units = [[(c, y, x)] for y in range(down) for x in range(across)]
    else:
        for y in range(-(-p.height // (8 * tallest))):
            for x in range(-(-p.width // (8 * widest))):
                unit = []
                for c in components:
                    h, v = p.sampling[c]
                    unit += [(c, y * v + j, x * h + i) for j in range(v) for i in range(h)]
                units.append(unit)
    data, bits, previous, run = b"", _Bits(), [0] * len(p.sampling), 0

    def flush() -> None:
        nonlocal run
        if run:
            _symbol(bits, (run.bit_length() - 1) << 4, dc=False)
            bits.put(run - (1 << (run.bit_length() - 1)), run.bit_length() - 1)
            run = 0

    for number, unit in enumerate(units):
        if p.restart and number and number % p.restart == 0:
            flush()
            data += bits.done() + bytes([0xFF, 0xD0 + (number // p.restart - 1) % 8])
            bits, previous = _Bits(), [0] * len(p.sampling)
        for c, y, x in unit:
            block = [int(n) for n in blocks[c][y, x]]
            if start == 0 and high:
                bits.put(block[0] >> low, 1)
            elif start == 0:
                value = block[0] >> low
                difference, previous[c] = value - previous[c], value
                _symbol(bits, _size(difference), dc=True)
                _value(bits, difference, _size(difference))
            band = range(max(1, start), end + 1)
            zeros = 0
            for k in band:
                value = abs(block[k]) >> low if p.progressive else abs(block[k])
                if value == 0:
                    zeros += 1
                    continue
                flush()
                while zeros > 15:
                    _symbol(bits, 0xF0, dc=False)
                    zeros -= 16
                value = -value if block[k] < 0 else value
                _symbol(bits, zeros << 4 | _size(value), dc=False)
                _value(bits, value, _size(value))
                zeros = 0
            if zeros and len(band):
                if p.progressive:
                    run += 1
                else:
                    _symbol(bits, 0, dc=False)
    flush()
    header = bytes([len(components)]) + b"".join(bytes([p.names[c], 0]) for c in components)
    return segment(0xDA, header + bytes([start, end, high << 4 | low])) + data + bits.done()


def parts(p: Picture) -> list[bytes]:
    """The file in parts: start, colour markers, tables, frame, interval, scans, end."""
    quantizers = [
        1 + (p.quantizers - 1) * (k + 1) // 64 if p.quantizers < 100 else p.quantizers for k in range(64)
    ]
    table = struct.pack(">64H", *quantizers) if p.wide else bytes(quantizers)
    colours = b"".join(bytes([n, h << 4 | v, 0]) for n, (h, v) in zip(p.names, p.sampling, strict=False))
    frame = struct.pack(">BHHB", 8, p.height, p.width, len(p.sampling)) + colours
    markers = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" if p.jfif else b""
    if p.adobe is not None:
        markers += segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00" + bytes([p.adobe]))
    blocks = _blocks(p)
    scans = p.scans or [(list(range(len(p.sampling))), 0, 63, 0, 0)]
    return [
        b"\xff\xd8", markers, segment(0xDB, bytes([p.wide << 4]) + table), TABLES,
        segment(0xC2 if p.progressive else 0xC0, frame),
        segment(0xDD, struct.pack(">H", p.restart)) if p.restart else b"",
        *[_scan(p, blocks, scan) for scan in scans], b"\xff\xd9",
    ]  # fmt: skip


def write(p: Picture) -> bytes:
    """The file."""
    return b"".join(parts(p))


def jpegs() -> dict[str, bytes]:
    """Every file by its name."""
    made: dict[str, bytes] = {}
    samplings = {
        "440": [(1, 2), (1, 1), (1, 1)], "422": [(2, 1), (1, 1), (1, 1)], "420": [(2, 2), (1, 1), (1, 1)],
        "410": [(4, 2), (1, 1), (1, 1)], "441": [(1, 4), (1, 1), (1, 1)], "31": [(3, 1), (1, 1), (1, 1)],
        "mixed": [(2, 2), (1, 2), (2, 1)], "halved": [(2, 4), (1, 2), (1, 1)], "chroma-larger": [(1, 1), (2, 2), (1, 2)],
        "red-smaller": [(2, 1), (2, 1), (1, 1)],
    }  # fmt: skip
    for name, sampling in samplings.items():
        for width, height in ((1, 1), (3, 2), (5, 9), (17, 33), (40, 23)):
            p = Picture(width, height, sampling, seed=width)
            made[f"sampled-{name}-{width}x{height}.jpg"] = write(p)
            apart: list[Scan] = [([c], 0, 63, 0, 0) for c in (1, 0, 2)]
            made[f"sampled-{name}-{width}x{height}-apart.jpg"] = write(replace(p, scans=apart))
        progressive = Picture(35, 35, sampling, progressive=True, restart=2, scans=_spectral(3), seed=3)
        made[f"sampled-{name}-progressive.jpg"] = write(progressive)
    made["sampled-fractionally.jpg"] = write(Picture(20, 20, [(3, 2), (2, 1), (1, 1)]))
    large: list[Scan] = [([c], 0, 63, 0, 0) for c in range(3)]
    made["sampled-44-apart.jpg"] = write(Picture(50, 50, [(4, 4), (1, 1), (2, 2)], scans=large))
    made["sampled-44.jpg"] = write(Picture(50, 50, [(4, 4), (1, 1), (2, 2)]))
    made["sampled-grey-22.jpg"] = write(Picture(21, 19, [(2, 2)]))

    three, four = [(1, 1)] * 3, [(1, 1)] * 4
    colour = Picture(16, 8, three)
    for transform in range(4):
        made[f"adobe-{transform}.jpg"] = write(replace(colour, adobe=transform))
        made[f"adobe-{transform}-of-four.jpg"] = write(replace(colour, sampling=four, adobe=transform))
        made[f"adobe-{transform}-jfif.jpg"] = write(replace(colour, adobe=transform, jfif=True))
    made["named-rgb.jpg"] = write(replace(colour, names=[82, 71, 66]))
    made["named-rgb-jfif.jpg"] = write(replace(colour, names=[82, 71, 66], jfif=True))
    made["named-otherwise.jpg"] = write(replace(colour, names=[0, 7, 9]))
    made["named-alike.jpg"] = write(replace(colour, names=[5, 5, 5]))
    made["four.jpg"] = write(replace(colour, sampling=four))
    made["four-subsampled.jpg"] = write(Picture(19, 17, [(2, 2), (1, 1), (1, 1), (2, 2)], adobe=2))
    made["two-components.jpg"] = write(replace(colour, sampling=[(1, 1)] * 2))
    made["out-of-order.jpg"] = write(replace(colour, scans=[([2, 0, 1], 0, 63, 0, 0)]))

    for name, p in {
        "wide-quantizers": replace(colour, quantizers=300, wide=True, amplitude=2),
        "zero-quantizers": replace(colour, quantizers=0),
        "overflow": replace(colour, quantizers=255, amplitude=900, width=64, height=64),
        "overflow-wide": replace(colour, quantizers=65535, wide=True, amplitude=900, width=64, height=64),
        "overflow-first-row": replace(colour, quantizers=255, amplitude=900, first_row=True, width=64),
        "overflow-progressive": replace(colour, quantizers=255, amplitude=900, progressive=True, scans=_spectral(3)),
        "overflow-first-row-progressive": replace(colour, quantizers=255, amplitude=900, first_row=True, progressive=True, scans=_spectral(3)),
        "contrast": replace(colour, quantizers=40, amplitude=200, width=64, height=64),
    }.items():  # fmt: skip
        made[f"{name}.jpg"] = write(p)

    made |= _scan_orders(colour) | _segments(colour) | _restarts()
    return made


def _spectral(components: int) -> list[Scan]:
    every = list(range(components))
    return [
        (every, 0, 0, 0, 1),
        *[([c], a, b, 0, 0) for c in every for a, b in ((1, 5), (6, 63))],
        (every, 0, 0, 1, 0),
    ]


def _scan_orders(colour: Picture) -> dict[str, bytes]:
    p = replace(colour, progressive=True)
    good = _spectral(3)
    orders: dict[str, list[Scan]] = {
        "legal": good, "dc-last": [*good[1:-1], good[0], good[-1]], "no-last-bit": good[:-1], "no-dc": good[1:-1],
        "twice": [*good, good[-1]], "band-twice": [*good[:2], *good[1:]], "band-missing": [*good[:3], *good[4:]],
        "bit-skipped": [([0, 1, 2], 0, 0, 0, 2), *good[1:-1], ([0, 1, 2], 0, 0, 1, 0)], "low-14": [([0, 1, 2], 0, 0, 0, 14)],
        "ac-together": [good[0], ([0, 1, 2], 1, 63, 0, 0)], "dc-with-ac": [([0, 1, 2], 0, 5, 0, 0)], "past-63": [good[0], ([0], 1, 64, 0, 0)],
        "dc-alone": [([0, 1, 2], 0, 0, 0, 0)], "each-coefficient": [good[0], *[([c], k, k, 0, 0) for c in range(3) for k in range(1, 64)], good[-1]],
        "too-many": [([c], k, k, 0, 0) for k in range(90) for c in range(3)],
    }  # fmt: skip
    made = {}
    for name, scans in orders.items():
        written = [
            s for s in scans if s[2] < 64 and not (s[1] == 0 and s[2] > 0) and (len(s[0]) == 1 or s[1] == 0)
        ]
        pieces = parts(replace(p, scans=written))
        if len(written) < len(scans):  # no data can be written for such a scan: its header alone, and zeros
            for names, start, end, high, low in (s for s in scans if s not in written):
                header = bytes([len(names)]) + b"".join(bytes([c + 1, 0]) for c in names)
                pieces.insert(-1, segment(0xDA, header + bytes([start, end, high << 4 | low])) + bytes(20))
        made[f"scans-{name}.jpg"] = b"".join(pieces)
    made["scans-of-sequential-twice.jpg"] = write(
        replace(colour, scans=[([0, 1, 2], 0, 63, 0, 0), ([0], 0, 63, 0, 0)])
    )
    made["scans-of-sequential-missing.jpg"] = write(replace(colour, scans=[([0, 1], 0, 63, 0, 0)]))
    return made


def _segments(colour: Picture) -> dict[str, bytes]:
    """Segments that are missing, repeated, damaged or strange."""
    start, markers, quantizers, tables, frame, interval, scan, end = parts(colour)
    apart: list[Scan] = [([c], 0, 63, 0, 0) for c in range(3)]
    *head, first, second, third, _ = parts(replace(colour, scans=apart))
    other = segment(0xDB, bytes([0, *[50] * 64]))
    pieces: dict[str, list[bytes]] = {
        "comment-and-data": [start, segment(0xFE, b"hello"), segment(0xE5, b"\xff\xd9"), quantizers, tables, frame, scan, end],
        "fill-between": [start, b"\xff\xff", quantizers, b"\xff", tables, b"stray", frame, scan, b"\xff\xff", end],
        "restart-before-frame": [start, quantizers, b"\xff\xd0\xff\x01", tables, frame, scan, end],
        "after-the-end": [start, quantizers, tables, frame, scan, end, b"\xff\xd8 more"],
        "two-frames": [start, quantizers, tables, frame, frame, scan, end],
        "no-frame": [start, quantizers, tables, scan, end],
        "no-scan": [start, quantizers, tables, frame, end],
        "no-end": [start, quantizers, tables, frame, scan],
        "second-start": [start, quantizers, tables, start, frame, scan, end],
        "dnl": [start, quantizers, tables, frame, scan, segment(0xDC, b"\x00\x08"), end],
        "reserved": [start, quantizers, segment(0x02, b""), tables, frame, scan, end],
        "jpgn": [start, quantizers, segment(0xF0, b""), tables, frame, scan, end],
        "arithmetic": [start, quantizers, tables, segment(0xC9, frame[4:]), scan, end],
        "lossless": [start, quantizers, tables, segment(0xC3, frame[4:]), scan, end],
        "extended": [start, quantizers, tables, segment(0xC1, frame[4:]), scan, end],
        "twelve-bits": [start, quantizers, tables, segment(0xC1, b"\x0c" + frame[5:]), scan, end],
        "long-frame": [start, quantizers, tables, segment(0xC0, frame[4:] + b"x"), scan, end],
        "empty-picture": [start, quantizers, tables, segment(0xC0, frame[4:5] + bytes(2) + frame[7:]), scan, end],
        "sampled-0": [start, quantizers, tables, frame[:11] + b"\x01" + frame[12:], scan, end],
        "sampled-5": [start, quantizers, tables, frame[:11] + b"\x51" + frame[12:], scan, end],
        "wide": [start, quantizers, tables, segment(0xC0, frame[4:7] + b"\xff\xff" + frame[9:]), scan, end],
        "tables-in-one": [start, segment(0xDB, (quantizers[4:] + b"\x01" + quantizers[5:])), segment(0xC4, TABLES[4:37] + TABLES[41:]), frame, scan, end],
        "quantizers-cut": [start, quantizers, segment(0xDB, b"\x00abc"), tables, frame, scan, end],
        "quantizers-numbered-4": [start, quantizers, segment(0xDB, bytes([4, *[1] * 64])), tables, frame, scan, end],
        "quantizers-missing": [start, segment(0xDB, b"\x01" + quantizers[5:]), tables, frame, scan, end],
        "quantizers-too-late": [start, tables, frame, scan, quantizers, end],
        "quantizers-change": [*head, first, other, second, third, end],
        "quantizers-change-behind": [*head, first, second, third, other, end],
        "codes-cut": [start, quantizers, tables, segment(0xC4, bytes([0, 1])), frame, scan, end],
        "codes-cut-too": [start, quantizers, tables, segment(0xC4, bytes([0, 1, *[0] * 15])), frame, scan, end],
        "codes-too-many": [start, quantizers, tables, segment(0xC4, bytes([1, 3, *[0] * 15, 1, 2, 3])), frame, scan, end],
        "codes-of-ones": [start, quantizers, tables, segment(0xC4, bytes([1, 2, *[0] * 15, 1, 2])), frame, scan, end],
        "codes-numbered-4": [start, quantizers, tables, segment(0xC4, bytes([4, 1, *[0] * 15, 1])), frame, scan, end],
        "codes-of-class-2": [start, quantizers, tables, segment(0xC4, bytes([0x20, 1, *[0] * 15, 1])), frame, scan, end],
        "codes-none": [start, quantizers, tables, segment(0xC4, bytes(17)), frame, scan, end],
        "codes-of-16-bits": [start, quantizers, tables, segment(0xC4, bytes([1, 1, *[0] * 15, 16])), frame, scan, end],
        "codes-change": [*head, first, segment(0xC4, bytes([0, 0, 0, 0, 15, 1, *[0] * 11, *range(15, -1, -1)])), second, third, end],
        "codes-missing": [start, quantizers, tables, frame, scan[:6] + b"\x33" + scan[7:], end],
        "interval-long": [start, quantizers, tables, segment(0xDD, bytes(3)), frame, scan, end],
        "scan-header-short": [start, quantizers, tables, frame, segment(0xDA, b"\x03\x01\x00\x02\x00\x03\x00\x00\x3f"), scan[14:], end],
        "scan-of-another": [start, quantizers, tables, frame, scan[:5] + b"\x09" + scan[6:], end],
        "scan-parameters-0": [start, quantizers, tables, frame, scan[:11] + bytes(3) + scan[14:], end],
        "jfif-short": [start, segment(0xE0, b"JFIF\x00\x01\x01"), segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00"), quantizers, tables, frame, scan, end],
        "adobe-short": [start, segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00"), quantizers, tables, frame, scan, end],
        "adobe-behind": [start, quantizers, tables, frame, scan, segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00"), end],
        "data-cut": [start, quantizers, tables, frame, scan[:40], end],
        "data-cut-short": [start, quantizers, tables, frame, scan[:15], end],
        "data-more": [start, quantizers, tables, frame, scan, b"more and more", end],
        "data-fill": [start, quantizers, tables, frame, scan[:30] + b"\xff\xff\x00" + scan[30:], end],
        "data-fill-before-end": [start, quantizers, tables, frame, scan, b"\xff\xff\xff", end],
        "data-tem": [start, quantizers, tables, frame, scan[:30] + b"\xff\x01" + scan[30:], end],
        "data-restart": [start, quantizers, tables, frame, scan[:30] + b"\xff\xd3" + scan[30:], end],
        "data-comment": [start, quantizers, tables, frame, scan[:30] + segment(0xFE, b"hello") + scan[30:], end],
        "data-then-scan": [start, quantizers, tables, frame, scan, scan, end],
    }  # fmt: skip
    del markers, interval
    return {f"segments-{name}.jpg": b"".join(p) for name, p in pieces.items()}


def _restarts() -> dict[str, bytes]:
    """Restart markers that are missing, wrong, too many; data that ends before one."""
    whole = write(Picture(120, 24, [(1, 1)] * 3, restart=3, seed=8))
    at = [whole.index(bytes([0xFF, 0xD0 + n])) for n in range(8)]

    def put(offset: int, new: bytes, old: int = 2) -> bytes:
        return whole[:offset] + new + whole[offset + old :]

    changes: dict[str, bytes] = {
        "good": whole, "missing": put(at[2], b""), "fill": put(at[2], b"\xff\xff\xff", 1),
        "cut": put(at[2] - 9, b"", 9), "more": put(at[2], b"more", 0), "empty": put(at[2], b"", at[3] - at[2]),
        "two-missing": put(at[2], b"", at[4] - at[2]), "three-missing": put(at[2], b"", at[5] - at[2]),
        "twice": put(at[2], b"\xff\xd2", 0), "again": put(at[2], whole[at[1] : at[2]], 0),
        **{f"instead-{n}": put(at[4], bytes([0xFF, 0xD0 + n])) for n in range(8)},
        "last-missing": put(whole.rindex(b"\xff", 0, -2), b""), "end": put(at[3], b"\xff\xd9", 0),
    }  # fmt: skip
    return {f"restarts-{name}.jpg": change for name, change in changes.items()}
