"""Progress on stderr: a bar on a terminal, a line now and then on a pipe."""

from __future__ import annotations

import time

from rich.console import Console

_EVERY = 10.0
"""Seconds between two lines on a pipe."""


class Ticker:
    """Prints a line at most every ten seconds if stderr is not a terminal, so that a long step is not silent."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def say(self, line: str) -> None:
        """Print the line, unless another was printed a moment ago."""
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._last = now
            self._console.print(line, soft_wrap=True)

    def reading(self, done: int, total: int) -> None:
        """Say how many pictures were read."""
        self.say(f"  {done} of {total} pictures read")
