"""Strings from outside, shown as text.

Labels, file names and reasons must not control a terminal, or pass for something else in a report.
``internal/printable`` is the same in Go.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from rich.console import Console as _Console

_JOINERS = "\u200c\u200d"  # parts of words and of emoji


def printable(text: str) -> str:
    r"""Escape line breaks, tabs and everything else that is not printable, as in ``\u001b``."""
    return "".join(c if _shown(c) else json.dumps(c)[1:-1] if c != "\x7f" else "\\u007f" for c in text)


def _shown(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"


class Console(_Console):
    """Prints one line for each call on stderr. Strings hold no markup, emoji or control codes."""

    def __init__(self) -> None:
        super().__init__(stderr=True, highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, with each string made printable."""
        super().print(*(printable(o) if isinstance(o, str) else o for o in objects), **options)
