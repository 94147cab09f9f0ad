"""Writes the graphs that bundles have, for the Go library's tests: one for each line that it is given.

A line has the height, the width, the channels, the way to resize, the fit, the shorter side (0: none) and the pad colour.
Each answer is the length of the graph, four bytes with the highest first, and the graph.
"""

from __future__ import annotations

import sys

from forgo._preprocess import build
from forgo._rules import Rules

for line in sys.stdin:
    height, width, channels, resize, fit, side, *colour = line.split()
    rules = Rules(resize, fit, int(side) or None, tuple(map(int, colour)))  # type: ignore[arg-type]
    graph = build(int(height), int(width), rules, channels=int(channels)).SerializeToString(
        deterministic=True
    )
    sys.stdout.buffer.write(len(graph).to_bytes(4) + graph)
    sys.stdout.buffer.flush()
